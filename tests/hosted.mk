# SPDX-License-Identifier: MIT
#
# How the programs are made that run on this machine: unit tests, the same under the thread sanitizer, fuzz targets, and both
# without sanitizers, counting. Included by the Makefile, which lists them and has their flags.

$(B)/hosted/%.o: %.c $(rebuild)
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(hosted_cflags) -MMD -MP -c -o $@ $<

$(B)/hosted/hosted.a: $(call hosted,$(unit_lib_src) $(hosted_src))
	$(Q)rm -f $@ && $(AR) rcsD $@ $^

$(B)/unit/%: $(B)/hosted/tests/unit/%.o $(B)/hosted/hosted.a
	$(call say,HOSTLD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(hosted_cflags) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(unit_libs_$*)

$(B)/tsan/hosted/%.o: %.c $(rebuild)
	$(call say,TSANCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(hosted_cflags) -MMD -MP -c -o $@ $<
$(B)/tsan/hosted/hosted.a: $(patsubst $(B)/%,$(B)/tsan/%,$(call hosted,$(unit_lib_src) $(hosted_src)))
	$(Q)rm -f $@ && $(AR) rcsD $@ $^
$(B)/tsan/unit/%: $(B)/tsan/hosted/tests/unit/%.o $(B)/tsan/hosted/hosted.a
	$(call say,TSANLD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(hosted_cflags) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(unit_libs_$*)
pc_tests := unit/test_pc_apic unit/test_pc_firmware unit/test_pc_run unit/test_pc_vcpus
$(addprefix $(B)/,$(pc_tests)): $(call hosted,$(unit_part_src))
$(addprefix $(B)/tsan/,$(pc_tests)): $(patsubst $(B)/%,$(B)/tsan/%,$(call hosted,$(unit_part_src)))
$(addprefix $(B)/coverage/,$(pc_tests)): $(patsubst %.c,$(B)/coverage/obj/%.o,$(unit_part_src))
.SECONDARY:

$(B)/fuzz/obj/%.o: %.c $(rebuild)
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)clang $(call unwrapped,$<,$(fuzz_cflags)) -MMD -MP -c -o $@ $<
$(B)/replay/obj/%.o: %.c $(rebuild)
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(call unwrapped,$<,$(replay_cflags)) -MMD -MP -c -o $@ $<
unwrapped = $(if $(filter %/hostile_wrap.c,$(1)),$(filter-out $(sanitizers) -fsanitize=%,$(2)),$(2))
$(B)/fuzz/lib.a: $(patsubst %.c,$(B)/fuzz/obj/%.o,$(fuzz_lib_src))
	$(Q)rm -f $@ && $(AR) rcsD $@ $^
$(B)/replay/lib.a: $(patsubst %.c,$(B)/replay/obj/%.o,$(fuzz_lib_src))
	$(Q)rm -f $@ && $(AR) rcsD $@ $^
$(libfuzzer): $(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/fuzz_%.o $(B)/fuzz/lib.a
	$(call say,FUZZLD,$@)
	$(Q)clang $(sanitizers) -fsanitize=fuzzer $(fuzz_wraps) -o $@ $^ $(fuzz_libs_$*)
$(replayers): $(B)/replay/%: $(B)/replay/obj/tests/fuzz/fuzz_%.o $(B)/replay/obj/tests/fuzz/replay.o $(B)/replay/lib.a
	$(call say,FUZZLD,$@)
	$(Q)$(CC) $(sanitizers) $(fuzz_wraps) -o $@ $^ $(fuzz_libs_$*)

# The same programs without the sanitizers, counting: see tools/coverage.
$(B)/coverage/obj/%.o: %.c $(rebuild)
	$(call say,COVCC,$<)
	@mkdir -p $(@D)
	$(Q)gcc $(coverage_cflags) -MMD -MP -c -o $@ $<
$(B)/coverage/unit.a: $(patsubst %.c,$(B)/coverage/obj/%.o,$(unit_lib_src) $(hosted_src))
	$(Q)rm -f $@ && $(AR) rcsD $@ $^
$(B)/coverage/replay.a: $(patsubst %.c,$(B)/coverage/obj/%.o,$(fuzz_lib_src))
	$(Q)rm -f $@ && $(AR) rcsD $@ $^
$(B)/coverage/unit/%: $(B)/coverage/obj/tests/unit/%.o $(B)/coverage/unit.a
	@mkdir -p $(@D)
	$(Q)gcc $(coverage_cflags) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(unit_libs_$*)
$(B)/coverage/replay/%: $(B)/coverage/obj/tests/fuzz/fuzz_%.o $(B)/coverage/obj/tests/fuzz/replay.o $(B)/coverage/replay.a
	@mkdir -p $(@D)
	$(Q)gcc $(coverage_cflags) -o $@ $^ $(fuzz_libs_$*)
coverage_programs := $(patsubst $(B)/%,$(B)/coverage/%,$(unit_tests)) \
	$(addprefix $(B)/coverage/replay/,$(fuzz_targets))
