# SPDX-License-Identifier: MIT
"""Kernels other than Linux that people wrote for PCs: Debian's packages have them, and nothing of those is installed."""

import glob
import gzip
import os
import shutil

from nested import packages

# The package, and the file in it.
KERNELS = {
    "memtest86+": ("memtest86+", "boot/memtest86+x64.bin"),
    "xen": ("xen-hypervisor-4.17-amd64", "boot/xen-4.17-amd64.gz"),
    "ipxe": ("ipxe", "boot/ipxe.lkrn"),
    "invaders": ("grub-invaders", "boot/invaders.exec"),
    "u-boot": ("u-boot-qemu", "usr/lib/u-boot/qemu-x86/u-boot.rom"),
    "gnumach": ("gnumach-image-1.8-486", "boot/gnumach-1.8-486.gz"),
}


def prepare(build, name):
    """The path of one of them, which is fetched if it is not there, unpacked. Raises packages.NestedError."""
    package, file = KERNELS[name]
    folder = f"{build}/kernels/{name}"
    path = folder + "/kernel"
    if os.path.exists(path):
        return path
    os.makedirs(folder, exist_ok=True)
    packages.download_named(folder, package)
    packages.unpack_package(packages.the_file(folder, glob.escape(package) + "_*.deb"), folder + "/tree")
    opener = gzip.open if file.endswith(".gz") else open
    with opener(f"{folder}/tree/{file}", "rb") as source, open(path + ".part", "wb") as output:
        shutil.copyfileobj(source, output)
    os.rename(path + ".part", path)
    return path
