# SPDX-License-Identifier: MIT
"""What Linux takes under KVM, on the Linux that Bochs boots (tools/nested): this folder's program runs it on the board that
Trapline's guest has, with KVM's own interrupt controllers."""

import re

from kvm_bench.figures import KVM_OPTIONS
from linux_guest import native, system
from nested import linux
from nested.packages import NestedError

# Time passes as fast beside the instructions as in the other runs: both have as many timer interrupts in as many ticks.
IPS = 20_000_000
SPARE = 128  # MiB, beside the guest's own memory: its files are there twice
ENDED = re.compile(
    r"kvm-linux: entered after (\d+) ticks, (\d+) exits of KVM's, of them served here (\d+) of ports, (\d+) of MMIO"
)


def run(build, folder, memory, model, timeout):
    """The console of a run. Raises NestedError."""
    words = " ".join([*system.KERNEL_WORDS.split(), "job=disk"])
    script = f"exec ./kvm-linux {memory} vmlinuz initrd disk.img '{words}' > serial.txt\n"
    files = {name: f"{build}/linux/{name}" for name in ("vmlinuz", "initrd", "disk.img")}
    files["kvm-linux"] = build + "/kvm_linux/kvm-linux"
    job = linux.Job(script, files, memory + SPARE, KVM_OPTIONS, ips=IPS)
    return linux.run(build + "/nested", job, folder, model, timeout)[0]


def measure(build, folder, memory, model, timeout):
    """The figures. Raises NestedError."""
    console = run(build, folder, memory, model, timeout)
    reached, read, ended = native.USERSPACE.search(console), native.READ.search(console), ENDED.search(console)
    if not reached or not read or not ended or "linux: passed" not in console:
        raise NestedError(f"Linux did not pass under KVM, or its console lacks a figure (logs in {folder}).")
    return {
        "kvm_linux_guest_ticks": int(reached[1]) - int(ended[1]),
        "kvm_linux_exits": int(ended[2]),
        "kvm_linux_user_exits": int(ended[3]) + int(ended[4]),
        "kvm_linux_disk_4k_read_ticks": int(read[2]) // int(read[1]),
    }
