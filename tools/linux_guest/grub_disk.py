# SPDX-License-Identifier: MIT
"""The chain that a PC goes: SeaBIOS, as Debian has it, boots a disk with GRUB, which loads Debian's Linux from it."""

import os
import random
import shutil

from linux_guest import others, system
from nested import packages

FIRMWARE = "/usr/share/seabios/bios-256k.bin"
GRUB = "/usr/lib/grub/i386-pc"
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "linux16", "echo")
SECTOR = 512
# In front of the first partition: GRUB, and pages that the guest's job reads and writes (system.py).
PARTITION_AT = 1 << 20
# Of the master boot record: the table of partitions, in which GRUB's file has code for floppies; and its mark.
TABLE_AT, MARK_AT = 446, 510
ACTIVE, LINUX = 0x80, 0x83
# For an initramfs or a small kernel, and what the file system takes for itself.
ROOM = 5 << 20


def partition_entry(start, size):
    """An entry of the table, in sectors; cylinders and heads say that they are beyond what they can say."""
    beyond = b"\xfe\xff\xff"
    return bytes([ACTIVE]) + beyond + bytes([LINUX]) + beyond + start.to_bytes(4, "little") + size.to_bytes(4, "little")


def front(folder, partition_size):
    """What lies in front of the partition: GRUB's boot sector, which reads its core from the sectors behind it, noise up to
    the end of what the guest reads, and room."""
    core = folder + "/core.img"
    packages.tool(
        "grub-mkimage", "-O", "i386-pc", "-d", GRUB, "-p", "(hd0,msdos1)/boot/grub", "-o", core, *GRUB_MODULES
    )
    with open(GRUB + "/boot.img", "rb") as file:
        record = file.read(TABLE_AT)
    entry = partition_entry(PARTITION_AT // SECTOR, partition_size // SECTOR)
    record += entry.ljust(MARK_AT - TABLE_AT, b"\0") + b"\x55\xaa"
    with open(core, "rb") as file:
        grub = record + file.read()
    room = system.READ_PAGES * system.PAGE - len(grub)
    if room < 0:
        raise packages.NestedError(f"{core} is larger than what the guest reads of its disk.")
    return (grub + random.Random(1).randbytes(room)).ljust(PARTITION_AT, b"\0")


def file_system(folder, tree, size):
    """A file system of ext2 with the folder `tree` in it."""
    image = folder + "/partition.img"
    # mke2fs is in sbin, which not every user looks in, and writes into a file that is there.
    mke2fs = shutil.which("mke2fs", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or "mke2fs"
    if os.path.exists(image):
        os.remove(image)
    packages.tool(mke2fs, "-q", "-t", "ext2", "-b", str(system.PAGE), "-d", tree, image, f"{size >> 10}k")
    with open(image, "rb") as file:
        contents = file.read()
    os.remove(image)
    return contents


def write_tree(folder, kernel, commands):
    """What is to lie on the disk: a kernel, and GRUB's commands."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder + "/tree/boot/grub")
    shutil.copy(kernel, folder + "/tree/kernel")
    with open(folder + "/tree/boot/grub/grub.cfg", "w", encoding="ascii") as file:
        file.write("\n".join([*commands, "boot", ""]))


def write_disk(folder, start, size):
    """The disk's path."""
    with open(folder + "/disk.img", "wb") as file:
        file.write(start + file_system(folder, folder + "/tree", size))
    return folder + "/disk.img"


def prepare(build, job, kernel="cloud"):
    """Makes disk.img in the folder that is returned, with the kernel, its initramfs and the words for the job. Raises
    packages.NestedError."""
    outer, packed = system.unpack(build, kernel)
    folder, words = f"{outer}/from-disk", " ".join(system.kernel_words(job))
    commands = [f"linux /kernel {words}", "initrd /initrd", "echo GRUB boots Linux"]
    write_tree(folder, packages.the_file(packed, "boot/vmlinuz-*"), commands)
    size = os.path.getsize(folder + "/tree/kernel") + ROOM
    size -= size % system.PAGE
    start = front(folder, size)
    with open(folder + "/tree/initrd", "wb") as file:
        file.write(system.archive(build, folder, packed, start))
    write_disk(folder, start, size)
    return folder


def prepare_other(build, name):
    """The path of a disk with a kernel of others.KERNELS that begins in real mode, and calls the BIOS."""
    folder = f"{build}/kernels/{name}/disk"
    write_tree(folder, others.prepare(build, name), ["linux16 /kernel"])
    return write_disk(folder, front(folder, ROOM), ROOM)


def modules(folder, job, vcpus, memory, words="", timed=True):
    """The boot modules of a run: the firmware, with the guest's name and words, and its disk."""
    return [
        (FIRMWARE, [*system.guest_words(job, vcpus, memory, words, timed), "firmware"]),
        (folder + "/disk.img", ["+disk"]),
    ]
