# SPDX-License-Identifier: MIT
"""Debian's Linux as a guest: its kernel as it comes in the package, an initramfs with busybox, and a disk."""

import hashlib
import os
import random

from linux_guest import others
from nested import initramfs, packages

HERE = os.path.dirname(os.path.abspath(__file__))
# For the virtio disk, and for the console, whose driver takes what is typed from COM1; in Debian's kernel they are modules.
MODULES = {"lib/modules/": ("virtio_mmio", "virtio_blk"), "lib/modules/console/": ("virtio_console",)}
PAGE = 4096
READ_PAGES = 64
WRITE_PAGES = 64

# Linux believes what it is told of the clock, since it would measure it against the same instructions; what is left out
# needs no disk to run at boot (tools/nested/linux.py), and is two thirds of the boot.
KERNEL_WORDS = f"""
console=ttyS0,115200 quiet nokaslr mitigations=off no_timer_check panic=-1 cryptomgr.notests
initcall_blacklist=ftrace_check_for_weak_functions,ftrace_check_sync,trace_eval_init,init_kprobe_trace,\
crypto_algapi_init,load_system_certificate_list,blacklist_init,integrity_audit_init
"""


def disk_bytes():
    """The disk: pages that no two of are alike, whose sum the guest is told, and room to write."""
    return random.Random(1).randbytes(READ_PAGES * PAGE) + bytes(WRITE_PAGES * PAGE)


def write(path, contents):
    """Leaves a file alone that is right already, for make."""
    try:
        with open(path, "rb") as file:
            if file.read() == contents:
                return
    except OSError:
        pass
    with open(path, "wb") as file:
        file.write(contents)


def archive(build, folder, tree, disk):
    """The initramfs, which knows what the disk begins with."""
    files = initramfs.Archive()
    files.add_copy("bin/busybox", packages.the_file(tree, "*bin/busybox"))
    files.add_copy("bin/ticks", build + "/linux/ticks")
    files.add_copy("init", HERE + "/init")
    files.add_link("bin/sh", "busybox")
    paths = {}
    for place, modules in MODULES.items():
        for path in (path for module in modules for path in packages.module_files(tree, module)):
            paths.setdefault(path, place)
    for number, (path, place) in enumerate(paths.items()):
        packages.strip_module(path, folder + "/module.ko")
        files.add_copy(f"{place}{number:02}-{os.path.basename(path).split('.')[0]}.ko", folder + "/module.ko")
    files.add("disk/read-pages", b"%d\n" % READ_PAGES)
    files.add("disk/read-sum", hashlib.sha256(disk[: READ_PAGES * PAGE]).hexdigest().encode() + b"\n")
    return files.finish()


def unpack(build, kernel):
    """The folder for what is made of a kernel's package, and its unpacked tree. The kernel is one of
    packages.METAPACKAGES; the package of the first is the nested runs', too. Raises packages.NestedError."""
    folder, debs = build + "/linux", build + "/nested"
    if kernel != "cloud":
        folder = debs = f"{build}/linux/{kernel}"
    return folder, packages.unpack(debs, packages.METAPACKAGES[kernel])


def prepare(build, kernel="cloud"):
    """Makes vmlinuz, initrd and disk.img in the folder that is returned. `build`/linux/ticks is there. Raises
    packages.NestedError."""
    folder, tree = unpack(build, kernel)
    disk = disk_bytes()
    with open(packages.the_file(tree, "boot/vmlinuz-*"), "rb") as file:
        write(folder + "/vmlinuz", file.read())
    write(folder + "/initrd", archive(build, folder, tree, disk))
    write(folder + "/disk.img", disk)
    return folder


# How long a kernel may take, in millions of ticks: amd64's is compressed by XZ, which takes it 4,500 of them.
TIMEOUT = 12000


# Of init's jobs, those that have all the time that their user takes, and those that end.
SHELLS, JOBS = ("shell", "hvc"), ("boot", "disk", "load")
KERNELS = (*packages.METAPACKAGES, "xen")


def refusal(kernel, job):
    """None, or one sentence that says what is wrong with the two."""
    for name, value, known in (("KERNEL", kernel, KERNELS), ("JOB", job, SHELLS + JOBS)):
        if value not in known:
            return f"{name}={value} is unknown; use {', '.join(known[:-1])} or {known[-1]}."
    if (kernel, job) == ("xen", "hvc"):
        return "KERNEL=xen has its console on Xen's hvc0 anyway, and the virtio console would be hvc1; use JOB=shell."
    return None


def xen_modules(build, job, vcpus, words=""):
    """Debian's Xen, whose dom0 is linux-image-amd64, which has what that needs; its console is Xen's, by hypercalls."""
    folder = prepare(build, "amd64")
    xen = ["xen", "pc", "mem=768M", f"vcpus={vcpus}", "timeout=0", *words.split(), "--"]
    return [
        (others.prepare(build, "xen"), [*xen, *"console=com1 com1=115200,8n1 no-real-mode".split()]),
        (folder + "/vmlinuz", ["+dom0", "console=hvc0", *KERNEL_WORDS.split()[1:], f"job={job}"]),
        (folder + "/initrd", ["+initrd"]),
        (folder + "/disk.img", ["+disk"]),
    ]


def kernel_words(job):
    return [*KERNEL_WORDS.split(), f"job={job}", *(["console=hvc0"] if job == "hvc" else [])]


def guest_words(job, vcpus, memory, words, timed):
    """The guest's name and words. `timed`: its ticks are Bochs'."""
    timeout = TIMEOUT if timed and job not in SHELLS else 0
    console = ["virtio-console"] if job == "hvc" else []
    return ["linux", "pc", f"mem={memory}M", f"vcpus={vcpus}", f"timeout={timeout}", *words.split(), *console]


def modules(folder, job, vcpus, memory, words="", timed=True):
    """The boot modules of a run: the kernel, the guest's name and words, and what belongs to it."""
    return [
        (folder + "/vmlinuz", [*guest_words(job, vcpus, memory, words, timed), "--", *kernel_words(job)]),
        (folder + "/initrd", ["+initrd"]),
        (folder + "/disk.img", ["+disk"]),
    ]
