# SPDX-License-Identifier: MIT
#
# Everything goes into $(B). `make help` lists the targets and variables.

B ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
NASM ?= nasm
LD ?= ld
AR ?= ar
NM ?= nm
OBJCOPY ?= objcopy

dry_run := $(findstring n,$(firstword -$(MAKEFLAGS)))
MAKEFLAGS += --no-builtin-rules
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# `make V=1` shows the commands; otherwise one short line for each file made.
ifeq ($(V),1)
Q :=
say :=
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

comma := ,

# ---- Sources ---------------------------------------------------------------------------------------------------------

lib_src := $(sort $(wildcard vmx/*.c vmx/*.asm mmio/*.c mmu/*.c))
host_src := $(sort $(wildcard boot/*.c boot/*.asm guest/*.c guest/devices/*.c guest/pc/*.c guest/monitor/*.c))
obj = $(addsuffix .o,$(addprefix $(B)/obj/,$(basename $(1))))
lib_obj := $(call obj,$(lib_src))
host_obj := $(call obj,$(host_src))
ifneq ($(words $(lib_obj) $(host_obj)),$(words $(sort $(lib_obj) $(host_obj))))
$(error A C file and an assembly file of one folder share their name: rename one of them)
endif

# guest/stubs/NAME.c and start.asm and lib*.c, linked by stub.ld, make guests/NAME.elf; NAME.asm makes guests/NAME.bin.
# So do the files of a folder guest/stubs/NAME/, all of them together.
stub_lib := $(sort $(wildcard guest/stubs/lib*.c) $(wildcard guest/stubs/start.asm))
stub_c := $(filter-out $(stub_lib),$(sort $(wildcard guest/stubs/*.c)))
stub_asm := $(filter-out $(stub_lib),$(sort $(wildcard guest/stubs/*.asm)))
stub_folders := $(sort $(patsubst %/,%,$(dir $(wildcard guest/stubs/*/*.c))))
guests := $(patsubst guest/stubs/%.c,$(B)/guests/%.elf,$(stub_c)) \
	$(patsubst guest/stubs/%.asm,$(B)/guests/%.bin,$(stub_asm)) \
	$(patsubst guest/stubs/%,$(B)/guests/%.elf,$(stub_folders))
-include guest/stubs/guests.mk

# The hosted unit tests: every test_*.c is a program of its own. Of the code that compiles hosted it gets what it calls.
unit_src := $(sort $(wildcard tests/unit/test_*.c))
# What stands in the place of the library's functions is linked with its own test alone.
unit_part_src := tests/unit/pc_guest.c tests/unit/pc_host.c
unit_lib_src := $(filter-out $(unit_src) $(unit_part_src),$(sort $(wildcard tests/unit/*.c)))
# vmx/ is hosted on a CPU that is an array: there tests/unit/mock/vmx/asm.h stands in the place of vmx/asm.h.
hosted_src := $(sort $(wildcard vmx/*.c mmio/*.c mmu/*.c guest/*.c guest/devices/*.c guest/pc/*.c guest/monitor/*.c boot/acpi.c boot/multiboot*.c boot/cmdline.c boot/cmdline_words.c boot/print.c \
	boot/refuse.c boot/guest_list.c boot/framebuffer.c boot/pci.c boot/input.c boot/keyboard.c boot/tsc_rate.c)) $(B)/font.c
hosted = $(addprefix $(B)/hosted/,$(1:.c=.o))
unit_libs_test_decode_zydis := -lZydis
unit_libs_test_stress := -Wl,--wrap=vm_unlock
unit_libs_test_tlb := $(addprefix -Wl$(comma)--wrap=,grace_wait ept_zap_present ept_collect)
unit_tests := $(patsubst tests/unit/%.c,$(B)/unit/%,$(unit_src))
# Those with threads are built for the thread sanitizer, too, unless they step: it holds a stepped thread's signals back.
tsan_src := $(shell grep -L 'unit/stepping.h' $$(grep -l '<pthread.h>' $(unit_src)))
tsan_tests := $(patsubst tests/unit/%.c,$(B)/tsan/unit/%,$(tsan_src))

# The fuzz targets: fuzz_NAME.c is one; the other files of tests/fuzz/ belong to all of them. See tools/fuzz.
fuzz_targets := $(sort $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
fuzz_lib_src := $(filter-out tests/fuzz/fuzz_%.c tests/fuzz/replay.c,$(sort $(wildcard tests/fuzz/*.c))) \
	$(addprefix tests/unit/,hosted.c exit_addresses.c range_access.c guest_memory.c guest_walk_model.c decode_strings.c decode_zydis.c) $(hosted_src)
fuzz_libs_zydis := -lZydis -lcmocka
libfuzzer := $(addprefix $(B)/fuzz/,$(fuzz_targets))
replayers := $(addprefix $(B)/replay/,$(fuzz_targets))

# ---- Flags -----------------------------------------------------------------------------------------------------------

warnings := -Werror -Wall -Wextra -Wconversion -Wshadow -Wundef -Wmissing-prototypes -Wvla
common := -O2 -g -Iinclude -I. $(warnings)
freestanding := -m64 -ffreestanding -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie -fno-stack-protector \
	-fno-strict-aliasing -fcf-protection=none -fno-asynchronous-unwind-tables
# The pure folders are plain C11; the others hold inline assembly. Backtraces follow the frame pointers of boot/.
std_mmu := -std=c11
std_mmio := -std=c11
std_vmx := -std=gnu11
std_tests := -std=c11
std_boot := -std=gnu11 -fno-omit-frame-pointer
std_guest := -std=gnu11 -fno-omit-frame-pointer
std_example := -std=gnu11
folder = $(firstword $(subst /, ,$(patsubst $(B)/obj/%,%,$@)))
cflags = $(std_$(folder)) $(common) $(freestanding) $(EXTRA_CFLAGS)
sanitizers := -fsanitize=address,undefined -fno-sanitize-recover=all
hosted_cflags = -std=gnu11 -g -Itests/unit/mock $(filter-out -O2,$(common)) -O1 -fno-omit-frame-pointer \
	$(if $(filter $(B)/tsan/%,$@),-fsanitize=thread,$(sanitizers)) $(EXTRA_CFLAGS)
# Each access of fuzzed code calls a function of the address sanitizer; tests/fuzz/hostile_wrap.c stands before those.
calls_gcc := --param asan-instrumentation-with-call-threshold=0
calls_clang := -mllvm -asan-instrumentation-with-call-threshold=0
replay_cflags = $(hosted_cflags) $(if $(findstring clang,$(CC)),$(calls_clang),$(calls_gcc))
fuzz_cflags = $(hosted_cflags) $(calls_clang) -fsanitize=fuzzer-no-link
fuzz_wraps := $(foreach n,1 2 4 8 16 N,-Wl,--wrap=__asan_load$(n),--wrap=__asan_store$(n))
coverage_cflags := -std=gnu11 -Itests/unit/mock $(filter-out -O2,$(common)) -O0 --coverage -Dalways_inline=unused
nasm_flags := -f elf64 -g -F dwarf -Werror -Iinclude/ -I./
ld_flags := -m elf_x86_64 -nostdlib -static -z noexecstack -z max-page-size=4096 --build-id=none

# ---- Images ----------------------------------------------------------------------------------------------------------

.PHONY: all run example linux usb bench test test-unit test-tsan test-model test-fuzz test-system test-tools test-fresh coverage fuzz docs lint \
	format clean help run-image run-console tools FORCE
all: $(B)/libtrapline.a $(B)/trapline.elf $(B)/trapline32.elf $(B)/trapline.iso $(B)/example.elf

# Programs that are missing are installed before the first compilation. Order-only: it makes nothing out of date.
tools:
	$(Q)CC='$(CC)' tools/setup build $(if $(filter run run-image example linux bench,$(MAKECMDGOALS)),run) \
		$(if $(filter test test-unit test-tsan test-model test-fuzz test-system coverage,$(MAKECMDGOALS)),test) \
		$(if $(filter linux test test-system,$(MAKECMDGOALS))$(if $(filter bench,$(MAKECMDGOALS)),$(kvm_bench)$(nested_bench)),nested) \
		$(if $(filter bench,$(MAKECMDGOALS)),bench) \
		$(if $(filter fuzz,$(MAKECMDGOALS)),fuzz) \
		$(if $(filter lint format,$(MAKECMDGOALS)),lint)

# Objects are made again when the compiler or its flags change.
$(B)/flags: FORCE | tools
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(foreach f,mmu mmio vmx boot guest,$(std_$(f))) $(common) $(freestanding) $(hosted_cflags)' \
		'$(NASM) $(nasm_flags) $(LD) $(ld_flags)' | cmp -s - $@ || \
	printf '%s\n' '$(CC) $(foreach f,mmu mmio vmx boot guest,$(std_$(f))) $(common) $(freestanding) $(hosted_cflags)' \
		'$(NASM) $(nasm_flags) $(LD) $(ld_flags)' > $@
rebuild := Makefile tests/hosted.mk $(B)/flags

$(B)/obj/%.o: %.c $(rebuild)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: %.asm $(rebuild)
	$(call say,NASM,$<)
	@mkdir -p $(@D)
	$(Q)$(NASM) $(nasm_flags) -MD $(@:.o=.d) -MP -MT $@ -o $@ $<

$(B)/libtrapline.a: $(lib_obj) $(rebuild)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcsD $@ $(lib_obj)

# The image carries its own symbol table, for backtraces: boot/symbols.sh turns `nm -n` on its input into a C file on its
# output. The image is linked with an empty table first, then with the table of that image; the table has to lie after
# the text, so that the addresses stay.
link = $(LD) $(ld_flags) -T linker.ld -o $@ $(filter %.o,$^) --start-group $(filter %.a,$^) --end-group
image_parts := $(host_obj) $(B)/obj/font.o $(B)/libtrapline.a linker.ld $(rebuild)

# The font of the distribution, as an array. On a fresh machine it comes with GRUB, by tools/setup.
font := /usr/share/grub/unicode.pf2
$(font): | tools ;
$(B)/font.c: tools/font.py $(font) | tools
	$(call say,FONT,$@)
	@mkdir -p $(@D)
	$(Q)tools/font.py > $@
$(B)/obj/font.o: $(B)/font.c $(rebuild)
	$(Q)$(CC) $(std_boot) $(common) $(freestanding) -c -o $@ $<
ifneq ($(wildcard boot/symbols.sh),)
$(B)/obj/symbols_empty.c: boot/symbols.sh
	@mkdir -p $(@D)
	$(Q)sh boot/symbols.sh < /dev/null > $@
$(B)/obj/symbols_full.c: boot/symbols.sh $(B)/obj/trapline_bare.elf
	$(Q)$(NM) -n $(B)/obj/trapline_bare.elf | sh boot/symbols.sh > $@
$(B)/obj/symbols_%.o: $(B)/obj/symbols_%.c $(rebuild)
	$(Q)$(CC) $(std_boot) $(common) $(freestanding) -c -o $@ $<
$(B)/obj/trapline_bare.elf: $(image_parts) $(B)/obj/symbols_empty.o
	$(Q)$(link)
symbols := $(B)/obj/symbols_full.o
endif

$(B)/obj/trapline.elf: $(image_parts) $(symbols)
	$(Q)$(link)

# Without what only a debugger reads, which is in the one above; so are the symbols, of which the image has a table of its
# own. It has to stay small: loaders copy all of it.
image_most := 524288
$(B)/trapline.elf: $(B)/obj/trapline.elf
	$(call say,LD,$@)
	$(Q)$(OBJCOPY) --strip-all $< $@
	@[ $$(stat -c %s $@) -le $(image_most) ] || \
		{ echo "$@ has $$(stat -c %s $@) bytes; $(image_most) is the most: see what has grown"; exit 1; }

# The image of the system tests, which can damage EPT entries and has odd firmware.
$(B)/test-image/trapline.elf: $(image_parts) $(symbols) \
	$(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/system/*.c))
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(link)

other_images := $(B)/test-image/trapline.elf $(B)/bench-image/trapline.elf

# The image of the nested figures, which can do without most of an exit's handler.
$(B)/bench-image/trapline.elf: $(image_parts) $(symbols) $(call obj,tests/bench/bare_exit.c tests/bench/bare_entry.asm)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(link)

# QEMU's -kernel takes 32-bit ELF files only.
$(B)/trapline32.elf $(B)/bench-image/trapline32.elf: %32.elf: %.elf
	$(call say,OBJCOPY,$@)
	$(Q)$(OBJCOPY) -I elf64-x86-64 -O elf32-i386 $< $@

$(B)/trapline.iso: $(B)/trapline.elf $(guests) $(wildcard guest/stubs/modules) tools/iso.py Makefile
	$(call say,ISO,$@)
	$(Q)tools/iso.py --build $(B) --output $@

# The smallest embedder: the library, its public headers, and nothing else.
$(B)/example.elf: $(call obj,$(wildcard example/*.c example/*.asm)) $(B)/libtrapline.a example/example.ld $(rebuild)
	$(call say,LD,$@)
	$(Q)$(LD) $(ld_flags) -T example/example.ld --strip-debug -o $@ $(filter %.o %.a,$^)

# ---- Guests ----------------------------------------------------------------------------------------------------------

stub_link = $(LD) $(ld_flags) -T guest/stubs/stub.ld -o $@ $(filter %.o,$^)
$(B)/guests/%.elf: $(B)/obj/guest/stubs/%.o $(call obj,$(stub_lib)) guest/stubs/stub.ld $(rebuild)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(stub_link)

define stub_folder
$(patsubst guest/stubs/%,$(B)/guests/%.elf,$(1)): $(call obj,$(wildcard $(1)/*.c $(1)/*.asm) $(stub_lib)) \
		guest/stubs/stub.ld $(rebuild)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(stub_link)
$(call obj,$(wildcard $(1)/*.asm)): $(wildcard $(1)/*.inc)
endef
$(foreach folder,$(stub_folders),$(eval $(call stub_folder,$(folder))))

$(B)/guests/%.bin: guest/stubs/%.asm $(rebuild)
	$(call say,NASM,$<)
	@mkdir -p $(@D)
	$(Q)$(NASM) -f bin -Werror -Iguest/stubs/ -I./ -MD $(@:$(B)/guests/%=$(B)/obj/guest/stubs/%.d) -MP -MT $@ -o $@ $<

# ---- Running and testing ---------------------------------------------------------------------------------------------

export FUZZ_SECONDS B BACKEND KERNEL MACHINE FIRMWARE BOOT MODEL MEM CPUS TIMEOUT LOG TRACE PROFILE GUEST MODULES CMDLINE KVM NESTED LINUX CONSOLE

# A failed recipe makes GNU make end with 2, whatever the recipe's status was. `make run` has to tell 1 (a guest failed)
# from 2 (it could not run), so it asks make a question (-q): then make ends with 1, and prints nothing, if a line is left
# to be executed; lines with a + are executed all the same. Among other goals, `run` is an ordinary one.
run-image: $(B)/trapline.iso $(if $(filter kernel,$(BOOT)),$(B)/trapline32.elf)
ifeq ($(MAKECMDGOALS)$(dry_run),run)
MAKEFLAGS += -q
run_status = $(shell cat $(B)/run/status)
run: run-console
	$(if $(filter 1,$(run_status)),@false)$(if $(filter-out 0 1,$(run_status)),$(error $(shell cat $(B)/run/reason)))
run-console:
	+@MAKEFLAGS=$$(printf '%s' "$$MAKEFLAGS" | sed 's/^\([A-Za-z]*\)q/\1/'); export MAKEFLAGS; \
	mkdir -p $(B)/run && echo 2 > $(B)/run/status && echo 'the build failed' > $(B)/run/reason; \
	$(MAKE) --no-print-directory run-image && { tools/run; echo $$? > $(B)/run/status; }
else
run: run-image
	@tools/run
endif

# A program of the initramfs of the Linux that is a guest (tools/linux_guest).
$(B)/linux/ticks: tools/linux_guest/ticks.c $(rebuild)
	@mkdir -p $(@D)
	$(call say,HOSTLD,$@)
	$(Q)$(CC) -O2 -std=gnu11 -Wall -Wextra -Werror -ffreestanding -fno-stack-protector -static -nostdlib -o $@ $<

example: $(B)/example.elf
	@IMAGE=example.elf tools/run

# What is not there is refused before anything is built. Without a Python, which is installed then, it is afterwards.
ifneq ($(filter linux,$(MAKECMDGOALS)),)
linux_refusal := $(shell KERNEL='$(KERNEL)' JOB='$(JOB)' tools/linux --check 2>/dev/null)
$(if $(linux_refusal),$(error $(linux_refusal)))
endif
linux: all $(B)/linux/ticks
	@tools/linux

include tests/hosted.mk

coverage: $(coverage_programs)
	@tools/coverage
fuzz: $(libfuzzer) $(B)/unit/test_decode_zydis
	@tools/fuzz run
test-fuzz: $(replayers)
	@tools/fuzz test

# The program that boots Linux under KVM is made of the same board: that it links is a test of it.
test: $(unit_tests) $(tsan_tests) $(replayers) $(coverage_programs) all $(guests) $(other_images) $(B)/linux/ticks \
	$(B)/kvm_linux/kvm-linux
	@tools/test docs msrs tools unit tsan fuzz coverage model system
test-unit: $(unit_tests)
	@tools/test unit
test-tsan: $(tsan_tests)
	@tools/test tsan
test-model: | tools
	@tools/test model
test-system: all $(guests) $(other_images) $(B)/linux/ticks
	@tools/test system
test-tools: | tools
	@tools/test tools
test-fresh:
	@tools/setup fresh
	@tools/fresh

$(B)/scaling: tests/bench/scaling.c tests/unit/hosted.c $(wildcard mmu/*.[ch] include/*.h) $(rebuild)
	$(call say,HOSTCC,$<)
	$(Q)$(CC) -std=gnu11 $(common) -o $@ $(filter %.c,$^) -pthread
# The program that measures KVM, and its guest.
$(B)/kvm_bench/measure: $(addprefix tools/kvm_bench/,main.c memory.c samples.c vm.c) $(wildcard tools/kvm_bench/*.h) guest/stubs/ticks.h $(rebuild)
	$(call say,HOSTCC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(common) -static -o $@ $(filter %.c,$^)
$(B)/kvm_bench/guest.bin: tools/kvm_bench/guest.c tools/kvm_bench/guest.ld tools/kvm_bench/order.h guest/stubs/ticks.h $(rebuild)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(std_guest) $(common) $(freestanding) -c -o $(@:.bin=.o) $<
	$(Q)$(LD) $(ld_flags) --oformat binary -T tools/kvm_bench/guest.ld -o $@ $(@:.bin=.o)
# The program that boots Linux under KVM: the board, tables and loader of Trapline's own guests.
kvm_linux_src := $(wildcard tools/kvm_linux/*.c) mmio/doorbell.c tests/unit/range_access.c $(addprefix guest/,load.c state.c text.c) \
	$(addprefix guest/pc/,acpi_layout.c acpi_tables.c aml.c bios_data.c dsdt.c firmware.c linux_boot.c machine.c mp_table.c) \
	$(filter-out $(addprefix guest/devices/,io_apic.c pic.c pit.c pci_test_device.c local_apic%.c),$(wildcard guest/devices/*.c))
$(B)/kvm_linux/kvm-linux: $(kvm_linux_src) $(wildcard tools/kvm_linux/*.h guest/*.h guest/pc/*.h guest/devices/*.h include/*.h) $(rebuild)
	$(call say,HOSTCC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(common) -static -o $@ $(filter %.c,$^)

kvm_bench := $(if $(filter-out 0,$(KVM)),$(B)/kvm_bench/measure $(B)/kvm_bench/guest.bin \
	$(if $(filter 0,$(LINUX)),,$(B)/kvm_linux/kvm-linux))
nested_bench := $(if $(filter 0,$(NESTED)),,$(B)/bench-image/trapline32.elf $(B)/guests/nested.elf)
bench: $(B)/trapline.iso $(B)/scaling $(kvm_bench) $(nested_bench) $(if $(filter 0,$(LINUX)),,$(B)/linux/ticks)
	@tools/bench

# Over all that is on the device; see tools/usb for what it refuses.
usb: all
	@tools/usb '$(DEV)'

docs: | tools
	@tools/instructions
	@tools/msrs
lint: | tools
	@CFLAGS='$(common) $(freestanding)' HOSTED_CFLAGS='$(common)' tools/lint
format: | tools
	@tools/lint --format

clean:
	$(Q)rm -rf $(B)

help:
	@sed -n 's/^#: \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

#: Targets
#:   all          the library, the image (64-bit ELF, its 32-bit twin), the bootable ISO and the example; the default
#:   run          boots the ISO and shows its console; exit status 0 passed, 1 a guest failed, 2 could not run
#:   example      boots the smallest kernel that embeds the library (example/)
#:   linux        Debian's own Linux as a guest, to its shell: no other end than "exit" or Ctrl-A x; JOB=boot, disk, load, hvc instead
#:   usb          DEV=/dev/sdX: writes the ISO with a menu to a USB stick, over all that is on it, and reads it back
#:   test         unit tests, fuzz corpus, coverage, the model, system tests; ends with `N passed, N failed`
#:   test-unit    the hosted unit tests alone (cmocka, address and undefined-behaviour sanitizers)
#:   test-tsan    the unit tests that have threads, under the thread sanitizer; STRESS=n: n times as long
#:   test-model   spin searches the model of the orderings, tests/model, exhaustively
#:   test-fuzz    the fuzz targets on the corpus in tests/fuzz/corpus/ and on a fixed number of mutants of it
#:   test-system  the system tests alone (the image in Bochs and in QEMU)
#:   bench        measures exits in Bochs: a table, a chart, $(B)/bench.json; with KVM=1 also those of a real KVM there,
#:                with NESTED=0 none as a guest of that KVM; with LINUX=0 without Linux as a guest; CONSOLE=FILE: of what a machine with VMX printed
#:   coverage     lines and branches that the unit tests and the fuzz corpus reach: a table, $(B)/coverage.txt, .json
#:   fuzz         libFuzzer on each target, FUZZ_SECONDS in all (3600); tools/fuzz keeps the corpus
#:   test-tools   the tests of the scripts alone
#:   test-fresh   `make run` and `make test` from a fresh clone in a minimal Debian below build/; needs root
#:   docs         docs/instructions.md, from the decoder's rows, and docs/msrs.md, from those of the MSRs
#:   lint         layers, headers, licence lines, file lengths, clang-format and clang-tidy
#:   format       runs clang-format over the sources
#:   clean        removes build/
#: Variables
#:   GUEST=name   run: this guest only           CMDLINE="..."  run: the kernel's command line
#:   MODULES=FILE run: the guests of this list instead of the bundled ones: lines `file name words... -- words of its own` (docs/guests.md)
#:   BACKEND=     run: bochs, kvm, kvm-in-bochs; by default kvm where it offers VMX, else bochs
#:   MACHINE=     run on KVM: q35, microvm       BOOT=          run on KVM: iso, or kernel for QEMU's own loader
#:   FIRMWARE=    run on KVM: bios, uefi
#:   MODEL=       run: Bochs' CPU model          MEM= CPUS=     run: memory in MiB, number of CPUs
#:   TRACE=events run: records them, see docs/tracing.md
#:   PROFILE=1    run: what each guest did to its devices
#:   TIMEOUT=     run: seconds of wall time      LOG=1          run: Bochs logs every VM exit that is an error to it
#:   JOB=         linux: shell, hvc, boot, disk, load   VCPUS= WORDS= linux: its processors; more words of the guest's module
#:   KERNEL=      linux: cloud, amd64: which of Debian's kernels; xen: amd64 as the dom0 of Debian's Xen
#:   BOOT=        linux: kernel, or disk: SeaBIOS and GRUB boot it from the disk
#:   V=1          show the commands              CC=clang       build with another compiler
#:   FUZZ_SECONDS= fuzz: in all, 3600 by default
#:   B=folder     build there instead of build/

-include $(patsubst %.o,%.d,$(lib_obj) $(host_obj)) $(wildcard $(B)/obj/guest/stubs/*.d $(B)/obj/guest/stubs/*/*.d) \
	$(wildcard $(foreach f,hosted tsan/hosted fuzz/obj replay/obj coverage/obj,$(B)/$(f)/*/*.d $(B)/$(f)/*/*/*.d))
