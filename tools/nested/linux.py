# SPDX-License-Identifier: MIT
"""A machine with the real KVM for everybody: Debian's Linux, booted by Bochs, runs one job and ends.

A job is a shell script and files beside it. Its serial port is Bochs' first (serial.txt); what it and Linux say goes to the
second (linux.txt), which ends with the job's exit status.
"""

import fcntl
import json
import os
import re

from nested import initramfs, packages, payload
from nested.packages import NestedError

# How fast emulated time passes beside the instructions. Linux need not measure what it is told, see below.
IPS = 100_000_000
OVERHEAD = 320  # MiB of memory for Linux, beside what the job needs
MEMORY_MAX = 3072  # what is mapped below the devices

# In Bochs time is instructions. What is left out here makes up two thirds of those that Linux' boot would take: measuring
# the clock, tests of itself, and the checks of certificates, cryptography and tracing that need no disk to run at boot.
COMMAND_LINE = f"""
console=ttyS1,115200 quiet nokaslr mitigations=off tsc=reliable tsc_early_khz={IPS // 1000} no_timer_check
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
log: bochs.log
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


def command(build, script, files, folder, model, memory):
    """Writes a machine to `folder` that runs `script` beside `files` (name: path), and returns the command to start it.

    Memory in MiB, of the job. Raises NestedError.
    """
    memory += OVERHEAD
    if memory > MEMORY_MAX:
        raise NestedError(f"there is room for {MEMORY_MAX - OVERHEAD} MiB of memory at most; set MEM=.")
    prepare(build)
    archive = initramfs.Archive()
    archive.add("job/run", script.encode())
    # Linux' own name for the first serial port, under the one that the job's programs write to.
    archive.add_link("job/serial.txt", "/dev/ttyS0")
    for name, path in files.items():
        archive.add_copy("job/" + name, path)
    payload.write_run(build, archive.finish(), " ".join(COMMAND_LINE.split()), memory, folder)
    with open(folder + "/bochsrc", "w", encoding="ascii") as file:
        file.write(BOCHSRC.format(loaded_at=payload.LOADED_AT, memory=memory, model=model, ips=IPS))
    with open(folder + "/commands", "w", encoding="ascii") as file:
        file.write("c\n")
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
