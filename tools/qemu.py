# SPDX-License-Identifier: MIT
"""QEMU's command line: the same on this machine's KVM, without KVM, and on the KVM inside Bochs."""

import dataclasses
import os
import shlex

ACCELERATORS = {"kvm": ["kvm", "host"], "kvm-in-bochs": ["kvm", "host"], "tcg": ["tcg", "max"]}
MACHINES = ("q35", "microvm", "pc")
# The firmware that QEMU gives a microvm starts kernels only.
MICROVM_BIOS = "/usr/share/seabios/bios-microvm.bin"
FIRMWARE = {"bios": None, "uefi": "/usr/share/ovmf/OVMF.fd"}  # None: QEMU's own choice
# The serial port, which writes to serial.txt: COM1, the port of a card on PCI, that one beside a COM1 which says nothing, or none.
SERIAL = {
    "com1": ["-serial", "file:serial.txt"],
    "pci": ["-chardev", "file,id=serial,path=serial.txt", "-device", "pci-serial,chardev=serial"],
    "pci-beside-com1": ["-serial", "null", "-chardev", "file,id=serial,path=serial.txt", "-device", "pci-serial,chardev=serial"],
    "none": [],
}
# Where a machine with a screen takes commands, in the folder of its logs, and what it writes its screen's picture to.
MONITOR, PICTURE = "monitor", "screen.ppm"


@dataclasses.dataclass
class Kernel:
    """What QEMU's own loader is to boot, instead of an ISO: the image as a 32-bit ELF file, its command line, and the
    modules, each a name, a file and its words. The loader calls a module by its file, so that has to have its name."""

    path: str
    command_line: str
    modules: list


def link_modules(modules, build, folder):
    """The modules of a list as iso.read_modules() gives it, each file linked under the name of its module."""
    os.makedirs(folder, exist_ok=True)
    linked = []
    for file, words in modules:
        path = file if "/" in file else f"{build}/guests/{file}"
        name, words = (words[0], words[1:]) if words else (os.path.basename(path), [])
        link = f"{folder}/{name}"
        if not os.path.lexists(link):
            os.symlink(os.path.abspath(path), link)
        linked.append((link, words))
    return linked


def media(boot, settings, place):
    if isinstance(boot, Kernel):
        # A comma ends a module; a doubled one does not.
        modules = [" ".join([place(path), *words]).replace(",", ",,") for path, words in boot.modules]
        options = ["-kernel", place(boot.path), "-append", boot.command_line]
        return options + (["-initrd", ",".join(modules)] if modules else [])
    if settings.medium == "usb":
        drive = f"if=none,id=stick,format=raw,readonly=on,file={place(boot)}"
        return ["-drive", drive, "-device", "qemu-xhci", "-device", "usb-storage,drive=stick,removable=on"]
    if settings.machine != "microvm":
        return ["-cdrom", place(boot), "-boot", "d"]
    # It has no CD drive; the ISO is a hard disk's image, too.
    drive = f"if=none,id=disk,format=raw,readonly=on,file={place(boot)}"
    return ["-bios", MICROVM_BIOS, "-drive", drive, "-device", "virtio-blk-device,drive=disk"]


def end_or_screen(settings):
    """A device that lets the image end QEMU; or a screen, which is to be looked at before somebody else ends QEMU."""
    if not settings.screen:
        return ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
    return ["-vga", "std", "-qmp", f"unix:{MONITOR},server=on,wait=off"]


def arguments(boot, settings, place=os.path.abspath, typist_at=""):
    """`boot` is an ISO or a Kernel; place() says where QEMU finds a file of this machine. COM1 leads to the socket `typist_at`, if
    there is one, and what it prints is in serial.txt all the same."""
    # Without a delay: what waits to be sent is lost if QEMU ends with keys that the image has not read.
    serial = ["-serial", f"tcp:{typist_at},nodelay=on"] if typist_at else SERIAL[settings.serial]
    accelerator, cpu = ACCELERATORS[settings.backend]
    firmware = FIRMWARE[settings.firmware]
    return [
        "-machine", settings.machine, "-accel", accelerator, "-cpu", cpu,
        "-m", str(settings.memory), "-smp", str(settings.cpus),
        "-nodefaults", "-display", "none", "-no-reboot", *serial,
        *(["-bios", place(firmware)] if firmware else []), *end_or_screen(settings), *media(boot, settings, place),
        *(["-debugcon", "file:debugcon.bin"] if settings.debugcon else []), *shlex.split(settings.qemu),
    ]  # fmt: skip
