# SPDX-License-Identifier: MIT
"""A trace as text: by line as Linux' ftrace prints KVM's tracepoints, and as its mmiotrace prints a driver's accesses."""

import trace_file as t

# By basic exit reason, as KVM's tracepoint calls them; others by their number.
REASONS = {
    0: "EXCEPTION_NMI", 1: "EXTERNAL_INTERRUPT", 2: "TRIPLE_FAULT", 3: "INIT_SIGNAL", 4: "SIPI_SIGNAL",
    7: "INTERRUPT_WINDOW", 8: "NMI_WINDOW", 9: "TASK_SWITCH", 10: "CPUID", 12: "HLT", 13: "INVD", 14: "INVLPG",
    15: "RDPMC", 16: "RDTSC", 18: "VMCALL", 19: "VMCLEAR", 20: "VMLAUNCH", 21: "VMPTRLD", 22: "VMPTRST", 23: "VMREAD",
    24: "VMRESUME", 25: "VMWRITE", 26: "VMOFF", 27: "VMON", 28: "CR_ACCESS", 29: "DR_ACCESS", 30: "IO_INSTRUCTION",
    31: "MSR_READ", 32: "MSR_WRITE", 33: "INVALID_STATE", 34: "MSR_LOAD_FAIL", 36: "MWAIT_INSTRUCTION",
    37: "MONITOR_TRAP_FLAG", 39: "MONITOR_INSTRUCTION", 40: "PAUSE_INSTRUCTION", 41: "MCE_DURING_VMENTRY",
    43: "TPR_BELOW_THRESHOLD", 44: "APIC_ACCESS", 45: "EOI_INDUCED", 46: "GDTR_IDTR", 47: "LDTR_TR",
    48: "EPT_VIOLATION", 49: "EPT_MISCONFIG", 50: "INVEPT", 51: "RDTSCP", 52: "PREEMPTION_TIMER", 53: "INVVPID",
    54: "WBINVD", 55: "XSETBV", 56: "APIC_WRITE", 57: "RDRAND", 58: "INVPCID", 59: "VMFUNC", 60: "ENCLS", 61: "RDSEED",
    62: "PML_FULL", 63: "XSAVES", 64: "XRSTORS",
}  # fmt: skip
ACCESSES = {t.READ: "read", t.WRITE: "write", t.UNSATISFIED: "unsatisfied-read"}

HEADER = """\
# tracer: nop
#
# entries-in-buffer/entries-written: {count}/{written}   #P:{cpus}
#
#                                _-----=> irqs-off
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| /     delay
#           TASK-PID     CPU#  ||||   TIMESTAMP  FUNCTION
#              | |         |   ||||      |         |
"""


def reason_name(reason):
    return REASONS.get(reason & 0xFFFF) or str(reason & 0xFFFF)


def exit_text(record):
    _, _, _, _, vcpu, _, data, rip, other, _, _ = record
    failed = " FAILED_VMENTRY" if data >> 31 & 1 else ""
    return (
        f"kvm_exit: vcpu {vcpu} reason {reason_name(data)}{failed} rip {rip:#x} info1 {other:#018x} "
        "info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000"
    )


def mmio_text(record):
    _, _, detail, size, _, gpa, data, _, _, range_id, _ = record
    # KVM has no event for a doorbell that nothing is decoded for.
    if detail == t.RING:
        return f"trapline_ring: gpa {gpa:#x} range {range_id}"
    return f"kvm_mmio: mmio {ACCESSES[detail]} len {size} gpa {gpa:#x} val {data:#x}"


# Where KVM has the event by its name and in its form (arch/x86/kvm/trace.h, mmu/mmutrace.h), else by ours. What KVM's say and
# our records do not hold, the entry's host address and the access rights, is 0.
TEXT = {
    t.EXIT: exit_text,
    t.ENTRY: lambda r: f"kvm_entry: vcpu {r[4]}, rip {r[7]:#x}",
    t.MARK: lambda r: f"mark_mmio_spte: sptep:0000000000000000 gfn {r[5] >> 12:x} access 0 gen {t.tag(r[6]):x}",
    t.CHECK: lambda r: (
        f"check_mmio_spte: spte {r[6]:x} kvm_gen {t.tag(r[8]):x} spte-gen {t.tag(r[6]):x} valid {int(not r[2])}"
    ),
    t.FAULT: lambda r: f"handle_mmio_page_fault: addr:{r[5]:x} gfn {r[5] >> 12:x} access 0",
    t.MMIO: mmio_text,
    t.COMMIT: lambda r: f"trapline_commit: generation {r[6]} ranges {r[9]}",
    t.GRACE: lambda r: f"trapline_grace: round {r[6]} ticks {r[5]}",
    t.ZAP: lambda r: f"trapline_zap: gpa {r[5]:#x}-{r[6]:#x}",
    t.FLUSH: lambda r: f"trapline_flush: number {r[6]}",
    t.KICK: lambda r: f"trapline_kick: cpu {r[6]}",
}


def task(vcpu):
    return f"vcpu{vcpu}-{vcpu}" if vcpu else "host-0"


def ftrace(guests):
    """Lines of the form that /sys/kernel/tracing/trace has. Without the TSC's rate the time is ticks, as by the clock x86-tsc."""
    count = sum(len(guest.records) for guest in guests)
    written = count + sum(guest.lost for guest in guests)
    cpus = 1 + max((record[-1] for guest in guests for record in guest.records), default=0)
    yield HEADER.format(count=count, written=written, cpus=cpus)
    for guest in guests:
        hz = guest.tsc_hz
        for record in guest.records:
            time = f"{record[0] / hz:12.6f}" if hz else f"{record[0]:12}"
            yield f"{task(record[4]):>16s} [{record[-1]:03}] d... {time}: {TEXT[record[1]](record)}\n"


def mmiotrace(guests):
    """The text of Linux' mmiotrace. A map is a range; its line comes with the first access to it, and names that page."""
    yield "VERSION 20070824\n"
    for guest in guests:
        hz = guest.tsc_hz or 10**9
        rip, mapped = {}, set()
        now = 0.0
        for tsc, event, detail, size, vcpu, gpa, data, ip, _, range_id, _ in guest.records:
            now = tsc / hz
            if event == t.EXIT:
                rip[vcpu] = ip
            elif event == t.COMMIT:
                yield f"MARK {now:.6f} {guest.name}: commit, generation {data}\n"
            elif event == t.MMIO and detail in (t.READ, t.WRITE):
                if range_id not in mapped:
                    mapped.add(range_id)
                    yield f"MAP {now:.6f} {range_id} {gpa & ~0xFFF:#x} {gpa & ~0xFFF:#x} 0x1000 0x0 0\n"
                letter = "W" if detail == t.WRITE else "R"
                yield f"{letter} {size} {now:.6f} {range_id} {gpa:#x} {data:#x} {rip.get(vcpu, 0):#x} {vcpu}\n"
        for range_id in sorted(mapped):
            yield f"UNMAP {now:.6f} {range_id} 0x0 0\n"
