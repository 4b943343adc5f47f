#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a bootable ISO for BIOS and UEFI: GRUB, the image, and the guests as Multiboot modules.

    tools/iso.py --build build --output build/trapline.iso

It is a hybrid: a disk's image as well as a CD's. Tests make variants of it through make_iso(): another command line, other
modules, Multiboot 1, a screen of pixels on a BIOS.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

MODULES_FILE = "guest/stubs/modules"
NESTED_MODULES_FILE = "tools/nested/modules"
# What grub.cfg below needs, and what grub-mkrescue's own script for UEFI loads; a full set of GRUB modules makes the ISO slower
# to write and to boot.
GRUB_MODULES = (
    "normal test iso9660 multiboot multiboot2 all_video part_acorn part_amiga part_apple part_bsd part_dfly part_dvh"
    " part_gpt part_msdos part_plan part_sun part_sunpc"
)


# What GRUB can offer on a machine that somebody sits at: a title, and words for the command line.
MENU = (
    ("Trapline: the guests", ""),
    ("Trapline: the self-test of this machine", "selftest"),
    ("Trapline: the words of its command line", "help"),
)
# GRUB for BIOS and for UEFI. grub-mkrescue takes what is installed, and would leave one out without a word.
PLATFORMS = ("/usr/lib/grub/i386-pc", "/usr/lib/grub/x86_64-efi")


class IsoError(Exception):
    """The ISO cannot be made; the text says why."""


def read_modules(path=MODULES_FILE):
    """The module list: one (file, arguments) for each line `file name arguments...`. There is none without the file."""
    modules = []
    if os.path.exists(path):
        with open(path, encoding="ascii") as lines:
            for line in lines:
                words = line.split("#")[0].split()
                if words:
                    modules.append((words[0], words[1:]))
    return modules


def users_modules(path):
    """The same of a file of the user's. Raises IsoError."""
    if not os.path.exists(path):
        raise IsoError(f"MODULES={path}: there is no such file.")
    try:
        modules = read_modules(path)
    except (OSError, UnicodeError) as error:
        raise IsoError(f"MODULES={path} cannot be read: {error}") from None
    if not modules:
        raise IsoError(f"MODULES={path} has no module; write a line `FILE NAME WORDS...` for each, the kernel first")
    return modules


def nested_modules():
    """The module list for a machine under KVM: some lines are replaced by shorter runs of the same name."""
    shorter = {words[0]: (file, words) for file, words in read_modules(NESTED_MODULES_FILE)}
    return [shorter.get(words[0], (file, words)) if words else (file, words) for file, words in read_modules()]


def quote(word):
    return "'" + word.replace("'", "'\\''") + "'"


def boot_script(command_line, modules, protocol, graphics):
    """How GRUB boots. `protocol` is the Multiboot version, 1 or 2; `graphics` the mode of the screen, "" for GRUB's choice on
    UEFI and text on a BIOS."""
    kernel, module = {1: ("multiboot", "module"), 2: ("multiboot2", "module2")}[protocol]
    lines = [" ".join([kernel, "/boot/trapline.elf"] + [quote(word) for word in command_line.split()])]
    for file, arguments in modules:
        lines.append(" ".join([module, quote("/guests/" + os.path.basename(file))] + [quote(a) for a in arguments]))
    # After the kernel, whose header has set gfxpayload.
    if graphics:
        lines += ["insmod all_video", "set gfxpayload=" + graphics]
    else:
        lines += ['if [ "$grub_platform" = efi ]; then insmod efi_gop; else set gfxpayload=text; fi']
    return lines + ["boot"]


def grub_config(command_line, modules, protocol, graphics, menu, menu_seconds):
    """GRUB's script: it boots at once, or shows a menu of (title, words added to the command line) first."""
    if not menu:
        return "\n".join([*boot_script(command_line, modules, protocol, graphics), ""])
    lines = [f"set timeout={menu_seconds}"]
    for title, words in menu:
        script = boot_script(f"{command_line} {words}", modules, protocol, graphics)
        lines += [f"menuentry {quote(title)} {{", *script, "}"]
    return "\n".join([*lines, ""])


def make_iso(
    output, build, command_line="", modules=None, protocol=2, kernel="trapline.elf", graphics="", menu=(), menu_seconds=0
):
    """Writes the ISO `output`. Module files without a slash lie in `build`/guests. Raises IsoError."""
    if modules is None:
        modules = read_modules()
    names = {}
    for file, _ in modules:
        if names.setdefault(os.path.basename(file), file) != file:
            raise IsoError(f"{file} and {names[os.path.basename(file)]} have the same name; rename one of them")
    os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(output))) as tree:
        os.makedirs(tree + "/boot/grub")
        os.makedirs(tree + "/guests")
        try:
            shutil.copy(f"{build}/{kernel}", tree + "/boot/trapline.elf")
            for file, _ in modules:
                shutil.copy(file if "/" in file else f"{build}/guests/{file}", tree + "/guests/")
        except OSError as error:
            hint = "run make first" if str(error.filename).startswith(build + "/") else "a module's file has to be there"
            raise IsoError(f"{error.filename}: {error.strerror}; {hint}") from None
        with open(tree + "/boot/grub/grub.cfg", "w", encoding="ascii") as config:
            config.write(grub_config(command_line, modules, protocol, graphics, menu, menu_seconds))
        command = [
            "grub-mkrescue", "--install-modules=" + GRUB_MODULES,
            "--fonts=", "--locales=", "--themes=", "-o", output, tree,
        ]  # fmt: skip
        for platform in PLATFORMS:
            if not os.path.exists(platform):
                raise IsoError(f"{platform} is not there; run tools/setup build")
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise IsoError("grub-mkrescue failed: " + done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description="Makes the bootable ISO.")
    parser.add_argument("--build", default="build", help="the build folder")
    parser.add_argument("--output", required=True)
    parser.add_argument("--command-line", default="", help="of the kernel")
    arguments = parser.parse_args()
    try:
        make_iso(arguments.output, arguments.build, arguments.command_line)
    except IsoError as error:
        print(f"tools/iso.py: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
