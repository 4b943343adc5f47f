# SPDX-License-Identifier: MIT
"""Debian's kernel with KVM, and what runs on it, without installing any of it: packages are fetched and unpacked."""

import glob
import lzma
import os
import re
import shutil
import subprocess

# They depend on the newest kernel of the release, whatever its version is.
METAPACKAGE = "linux-image-cloud-amd64"
METAPACKAGES = {"cloud": METAPACKAGE, "amd64": "linux-image-amd64"}
SHELL = "busybox-static"
# Programs of packages that tools/setup installs.
QEMU = "/usr/bin/qemu-system-x86_64"
FIRMWARE = (
    "/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios-microvm.bin", "/usr/share/qemu/bios-microvm.bin",
    "/usr/share/qemu/kvmvapic.bin", "/usr/share/qemu/linuxboot_dma.bin", "/usr/share/qemu/multiboot_dma.bin",
)  # fmt: skip
MODULE = "kvm-intel"


class NestedError(Exception):
    """Linux in Bochs cannot be made; the text says why and what to do."""


def tool(*command, **options):
    """The output of a program. Raises NestedError with its last words."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, **options)
    except FileNotFoundError:
        raise NestedError(f"{command[0]} is not installed; run tools/setup nested.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise NestedError(f"{os.path.basename(command[0])} failed: {said[-1]}")
    return done.stdout


def kernel_package(metapackage):
    """The package of the kernel that the metapackage stands for now."""
    try:
        text = tool("apt-cache", "show", "--no-all-versions", metapackage).decode(errors="replace")
    except NestedError:
        text = ""
    match = re.search(r"^Depends:.*?\b(linux-image-\d[\w.+-]*)", text, re.MULTILINE)
    return match[1] if match else None


def download(folder, metapackage):
    package = kernel_package(metapackage)
    if not package:
        raise NestedError(
            f"apt knows no package {metapackage}: make linux and BACKEND=kvm-in-bochs need the package lists of a Debian for amd64; "
            "run apt-get update as root, then this again."
        )
    download_named(folder, package, SHELL)


def download_named(folder, *packages):
    try:
        # apt fetches as an unprivileged user if it may; here the folder is ours.
        tool("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=folder)
    except NestedError as error:
        raise NestedError(
            f"{' and '.join(packages)}, which this needs once, cannot be downloaded: check the network, "
            f"or run apt-get update as root and this again; {error}"
        ) from None


def fetch(folder, metapackage=METAPACKAGE):
    """The packages' files in `folder`, downloaded if they are not there yet."""
    os.makedirs(folder, exist_ok=True)

    def there():
        return [path for name in ("linux-image-", SHELL) for path in glob.glob(f"{folder}/{name}*.deb")]

    if len(there()) == 2:
        return there()
    for path in there():
        os.remove(path)
    try:
        download(folder, metapackage)
    except NestedError:
        # The lists may be missing or older than what the server still has.
        if os.geteuid() != 0:
            raise
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
        download(folder, metapackage)
    return there()


def unpack_package(package, tree):
    """Without what no guest here has: sound, and drivers of cards, which are most of a kernel's package."""
    unwanted = [f"--exclude=*/kernel/{folder}" for folder in ("sound", "drivers/net", "drivers/gpu", "drivers/media", "fs")]
    os.makedirs(tree, exist_ok=True)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        tool("tar", "-x", "-C", tree, *unwanted, stdin=archive.stdout)
    if archive.returncode:
        raise NestedError(f"dpkg-deb failed: {package} is broken; remove it and try again.")


def unpack(build, metapackage=METAPACKAGE):
    """Fetches the packages into `build`/debs and unpacks them to `build`/debian, which is returned."""
    tree = build + "/debian"
    packages = fetch(build + "/debs", metapackage)
    if not os.path.exists(tree):
        shutil.rmtree(tree + ".part", ignore_errors=True)
        for package in packages:
            unpack_package(package, tree + ".part")
        os.rename(tree + ".part", tree)
    return tree


def the_file(tree, pattern):
    found = glob.glob(f"{tree}/{pattern}", recursive=True)
    if len(found) != 1:
        raise NestedError(f"the packages hold {len(found)} files {pattern} instead of one; remove {tree} and try again.")
    return found[0]


def read_module(path):
    with open(path, "rb") as file:
        contents = file.read()
    return lzma.decompress(contents) if path.endswith(".xz") else contents


def module_files(tree, name=MODULE):
    """The files of a kernel module and of what it depends on, in the order to load them."""
    # A module's name has - and _ for the same.
    path = the_file(tree, f"lib/modules/**/{re.sub('[-_]', '[-_]', name)}.ko*")
    depends = re.search(rb"\0depends=([\w,-]*)\0", read_module(path))[1].decode()
    files = []
    for other in filter(None, depends.split(",")):
        files += [file for file in module_files(tree, other) if file not in files]
    return [*files, path]


def strip_module(path, output):
    """Most of the time that loading takes goes into signatures, symbols and tables for stack traces and BTF."""
    with open(output, "wb") as file:
        file.write(read_module(path))
    sections = (".BTF", ".orc_unwind", ".orc_unwind_ip", ".orc_header", ".comment")
    tool("strip", "--strip-debug", *(word for section in sections for word in ("-R", section)), output)


def libraries(program):
    """The shared libraries of a program, the dynamic loader among them."""
    return re.findall(r"(/\S+) \(0x", tool("ldd", program).decode())
