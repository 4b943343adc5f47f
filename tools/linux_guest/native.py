# SPDX-License-Identifier: MIT
"""The same Linux without a hypervisor: GRUB starts it in Bochs, with the BIOS' tables and devices, for the ticks that it
takes from its first instruction to the first of its programs."""

import os
import re
import shutil
import subprocess

import machine
from nested.packages import NestedError

# Where GRUB puts a kernel that asks for its preferred place, and enters it.
ENTRY = 0x1000000
STOPPED_AT = re.compile(r"Next at t=(\d+)")
# What the first program says.
USERSPACE = re.compile(r"linux: userspace after (\d+) ticks")
READ = re.compile(r"linux: (\d+) pages were read in (\d+) ticks")


def make_iso(system, folder, command_line):
    os.makedirs(folder + "/tree/boot/grub")
    for name in ("vmlinuz", "initrd"):
        shutil.copy(f"{system}/{name}", folder + "/tree/boot/")
    with open(folder + "/tree/boot/grub/grub.cfg", "w", encoding="ascii") as file:
        file.write(f"linux /boot/vmlinuz {command_line}\ninitrd /boot/initrd\nboot\n")
    modules = "normal iso9660 linux"
    words = ["grub-mkrescue", "--install-modules=" + modules, "--fonts=", "--locales=", "--themes="]
    done = subprocess.run(
        [*words, "-o", folder + "/native.iso", folder + "/tree"], capture_output=True, text=True, check=False
    )
    shutil.rmtree(folder + "/tree")
    if done.returncode:
        raise NestedError("grub-mkrescue failed: " + done.stderr.strip().splitlines()[-1])
    return folder + "/native.iso"


def run(system, folder, command_line, memory, model, timeout):
    """(ticks from the kernel's entry to userspace, what Linux said on COM1). Raises NestedError, machine.CannotRun."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    image = make_iso(system, folder, command_line)
    settings = machine.Settings(model=model, memory=memory, timeout=timeout, debugger=f"pb {ENTRY:#x}\nc\nd 1\n")
    result = machine.run(image, settings, folder)
    with open(folder + "/emulator.txt", encoding="utf-8", errors="replace") as file:
        stops = STOPPED_AT.findall(file.read())
    reached = USERSPACE.search(result.console)
    if not reached or len(stops) < 2:
        raise NestedError(f"Linux did not come to its programs without a hypervisor (logs in {folder}).")
    # The first stop is the reset's.
    return int(reached[1]) - int(stops[1]), result.console
