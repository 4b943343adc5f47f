# SPDX-License-Identifier: MIT
"""Archives for the kernel to unpack into its first file system (Linux' Documentation/driver-api/early-userspace/)."""

import os
import stat

from nested import packages


class Archive:
    """A cpio archive of the kind "newc". The kernel unpacks several that follow one another."""

    def __init__(self):
        self.bytes = bytearray()
        self.folders = set()
        self.number = 0

    def entry(self, name, mode, contents):
        self.number += 1
        name = name.encode() + b"\0"
        fields = (self.number, mode, 0, 0, 1, 0, len(contents), 0, 0, 0, 0, len(name), 0)
        self.bytes += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self.pad()
        self.bytes += contents
        self.pad()

    def pad(self):
        self.bytes += bytes(-len(self.bytes) % 4)

    def make_folders(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self.folders:
            self.make_folders(parent)
            self.folders.add(parent)
            self.entry(parent, stat.S_IFDIR | 0o755, b"")

    def add(self, path, contents, mode=0o644):
        """A file with these contents at `path`, which begins without a slash, as all do here."""
        self.make_folders(path)
        self.entry(path, stat.S_IFREG | mode, contents)

    def add_copy(self, path, source):
        with open(source, "rb") as file:
            self.add(path, file.read(), stat.S_IMODE(os.stat(source).st_mode))

    def add_link(self, path, target):
        self.make_folders(path)
        self.entry(path, stat.S_IFLNK | 0o777, target.encode())

    def finish(self):
        self.entry("TRAILER!!!", 0, b"")
        return bytes(self.bytes)


def system(build, tree):
    """The archive that every run has: the shell, KVM, QEMU and its firmware."""
    archive = Archive()
    archive.add_copy("bin/busybox", packages.the_file(tree, "*bin/busybox"))
    archive.add_copy("init", os.path.join(os.path.dirname(__file__), "init"))
    for number, path in enumerate(packages.module_files(tree)):
        name = os.path.basename(path).split(".")[0]
        packages.strip_module(path, build + "/module.ko")
        archive.add_copy(f"lib/modules/{number}/{name}.ko", build + "/module.ko")
    for path in (packages.QEMU, *packages.libraries(packages.QEMU), *packages.FIRMWARE):
        if not os.path.exists(path):
            raise packages.NestedError(f"{path} is missing; run tools/setup nested.")
        archive.add_copy(path[1:], path)
    return archive.finish()
