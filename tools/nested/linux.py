# SPDX-License-Identifier: MIT
"""A machine with the real KVM for everybody: Debian's Linux, booted by Bochs, runs one job and ends.

A job is a shell script and files beside it. Its serial port is Bochs' first (serial.txt); what it and Linux say goes to the
second (linux.txt), which ends with the job's exit status.
"""

import dataclasses
import fcntl
import json
import os
import re
import shutil
import subprocess

from nested import initramfs, packages, payload
from nested.packages import NestedError

# How fast emulated time passes beside the instructions. Linux need not measure what it is told, see below.
IPS = 100_000_000
OVERHEAD = 320  # MiB of memory for Linux, beside what the job needs
MEMORY_MAX = 3072  # what is mapped below the devices

# In Bochs time is instructions. What is left out here makes up two thirds of those that Linux' boot would take: measuring
# the clock, tests of itself, and the checks of certificates, cryptography and tracing that need no disk to run at boot.
COMMAND_LINE = """
console=ttyS1,115200 quiet nokaslr mitigations=off tsc=reliable tsc_early_khz={khz} no_timer_check
panic=-1 reboot=triple cryptomgr.notests
initcall_blacklist=ftrace_check_for_weak_functions,ftrace_check_sync,trace_eval_init,init_kprobe_trace,\
crypto_algapi_init,load_system_certificate_list,blacklist_init,integrity_audit_init
"""

BOCHSRC = """\
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=1, serial=1
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=rom.bin, address=0xffff0000
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
optramimage1: file=payload.img, address={loaded_at:#x}
memory: guest={memory}, host={memory}
cpu: model={model}, count=1, ips={ips}, reset_on_triple_fault=0
clock: sync=none, time0=1700000000
boot: floppy
com1: enabled=1, mode=file, dev=serial.txt
com2: enabled=1, mode=file, dev=linux.txt
port_e9_hack: enabled={debugging}
log: bochs.log
magic_break: enabled={debugging}
panic: action=fatal
error: action=ignore
info: action=report
debug: action=ignore
"""

STATUS_LINE = re.compile(r"nested: the job ended with status (\d+)")


def inputs(build):
    """What the shared part is made of, as it is now."""
    here = os.path.dirname(__file__)
    files = [os.path.join(here, name) for name in sorted(os.listdir(here)) if name.endswith(".py") or name == "init"]
    files += [packages.QEMU, *packages.FIRMWARE, *packages.fetch(build + "/debs")]
    return [[path, os.stat(path).st_mtime_ns] for path in files if os.path.exists(path)]


def prepare(build):
    """Makes what all runs share in `build`, unless it is there and nothing that it is made of has changed."""
    os.makedirs(build, exist_ok=True)
    # Two runs may begin at once.
    with open(build + "/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now, stamp = inputs(build), build + "/base.inputs"
        if os.path.exists(stamp):
            with open(stamp, encoding="utf-8") as file:
                if json.load(file) == now:
                    return
            os.remove(stamp)
        tree = packages.unpack(build)
        payload.write_base(packages.the_file(tree, "boot/vmlinuz-*"), initramfs.system(build, tree), build)
        with open(stamp, "w", encoding="utf-8") as file:
            json.dump(now, file)


# Where QEMU has several CPUs KVM has to see that one waits for another, by its PAUSEs: in Bochs 2.7 the timer does not end a
# guest that masks interrupts, as Trapline does. Its loops have more than the usual 128 ticks between two of them.
KVM_OPTIONS = "nested=1 ple_gap=10000"


@dataclasses.dataclass
class Job:
    """A shell script, the files beside it (name: path), and what it needs: memory in MiB, options of the module kvm_intel,
    commands for Bochs' debugger (magic breakpoints are on with them), instructions in a second of emulated time."""

    script: str
    files: dict
    memory: int
    kvm_options: str = KVM_OPTIONS
    debugger: str = ""
    ips: int = IPS


def command(build, job, folder, model):
    """Writes a machine for `job` to `folder` and returns the command to start it there. Raises NestedError."""
    memory = job.memory + OVERHEAD
    if memory > MEMORY_MAX:
        raise NestedError(f"there is room for {MEMORY_MAX - OVERHEAD} MiB of memory at most; set MEM=.")
    prepare(build)
    archive = initramfs.Archive()
    archive.add("job/run", job.script.encode())
    archive.add("job/kvm-intel.options", job.kvm_options.encode())
    # Linux' own name for the first serial port, under the one that the job's programs write to.
    archive.add_link("job/serial.txt", "/dev/ttyS0")
    for name, path in job.files.items():
        archive.add_copy("job/" + name, path)
    words = COMMAND_LINE.format(khz=job.ips // 1000).split()
    payload.write_run(build, archive.finish(), " ".join(words), memory, folder)
    values = {"loaded_at": payload.LOADED_AT, "memory": memory, "model": model, "ips": job.ips}
    with open(folder + "/bochsrc", "w", encoding="ascii") as file:
        file.write(BOCHSRC.format(debugging=int(bool(job.debugger)), **values))
    with open(folder + "/commands", "w", encoding="ascii") as file:
        file.write(job.debugger + "c\n")
    return ["bochs-bin", "-q", "-f", "bochsrc", "-rc", "commands"]


def job_status(folder):
    """(exit status of the job, or None if it did not come to its end; what was said last)"""
    try:
        with open(folder + "/linux.txt", encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file if line.strip()]
    except OSError:
        lines = []
    for number, line in enumerate(lines):
        match = STATUS_LINE.fullmatch(line)
        if match:
            return int(match[1]), lines[number - 1] if number else ""
    return None, lines[-1] if lines else ""


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def run(build, job, folder, model, timeout):
    """Runs a job to its end: (what it wrote to its serial port, what Bochs printed). Raises NestedError."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    words = command(build, job, folder, model)
    with open(folder + "/emulator.txt", "wb") as output:
        try:
            subprocess.run(
                words, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=timeout, check=False
            )
        except FileNotFoundError:
            raise NestedError(f"{words[0]} is not installed; run tools/setup nested.") from None
        except subprocess.TimeoutExpired:
            raise NestedError(f"no end after {timeout:g} s (logs in {folder}); TIMEOUT= sets another limit.") from None
    os.remove(folder + "/payload.img")
    status, said = job_status(folder)
    if status is None:
        raise NestedError(f"Linux in Bochs did not come to its job's end (logs in {folder}): {said}")
    serial = read(folder + "/serial.txt") if os.path.exists(folder + "/serial.txt") else ""
    if status:
        raise NestedError(f"the job in {folder} ended with status {status}: {(serial.splitlines() or [said])[-1]}")
    return serial, read(folder + "/emulator.txt")
