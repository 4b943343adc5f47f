# SPDX-License-Identifier: MIT
"""`make usb` on devices that are files, in a sysfs that is a folder."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

USB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/usb")
MIB = 1 << 20


class Usb(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = self.folder.name
        self.mounts = ["21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw", "22 21 0:20 / /proc rw - proc proc rw"]
        self.swaps = []
        self.add_disk("sda", "8:0", removable=0)
        self.add_part("sda", "sda1", "8:1")
        self.add_disk("sdb", "8:16")
        self.image = self.write("image.iso", os.urandom(3 * MIB + 12345))

    def write(self, name, content):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else f"{content}\n".encode())
        return path

    def node(self, name):
        return os.path.join(self.root, "dev", name)

    def add_disk(self, name, number, removable=1, size=8 * MIB, **more):
        where = f"sys/devices/usb1/block/{name}"
        values = {"dev": number, "removable": removable, "size": size // 512, "ro": 0, "device/vendor": "ACME", "device/model": "Stick"}
        for file, value in (values | more).items():
            self.write(f"{where}/{file}", value)
        os.makedirs(f"{self.root}/{where}/holders")
        self.link(name, where)
        self.write(f"dev/{name}", b"\xee" * size)

    def add_part(self, disk, name, number):
        where = f"sys/devices/usb1/block/{disk}/{name}"
        self.write(f"{where}/dev", number)
        self.write(f"{where}/partition", 1)
        os.makedirs(f"{self.root}/{where}/holders")
        self.link(name, where)
        self.write(f"dev/{name}", b"\xdd" * MIB)

    def link(self, name, where):
        os.makedirs(f"{self.root}/sys/class/block", exist_ok=True)
        os.symlink(f"{self.root}/{where}", f"{self.root}/sys/class/block/{name}")

    def run_usb(self, device):
        self.write("proc/self/mountinfo", "\n".join(self.mounts))
        self.write("proc/swaps", "\n".join(["Filename Type Size Used Priority", *self.swaps]))
        command = [sys.executable, USB, "--root", self.root, "--image", self.image, device]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def assert_refused(self, device, words):
        before = {name: self.read(name) for name in os.listdir(f"{self.root}/dev")}
        done = self.run_usb(device)
        self.assertEqual(done.returncode, 2, done)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("usb: refused: ") and lines[0].endswith("."), lines)
        self.assertIn(words, lines[0])
        for name, content in before.items():
            self.assertEqual(self.read(name), content, f"{name} was written to")

    def read(self, name):
        with open(self.node(name), "rb") as file:
            return file.read()

    def test_writes_and_reads_back(self):
        done = self.run_usb(self.node("sdb"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("ACME Stick", done.stdout)
        with open(self.image, "rb") as file:
            wanted = file.read()
        got = self.read("sdb")
        self.assertEqual(got[: len(wanted)], wanted)
        self.assertEqual(got[len(wanted) :], b"\xee" * (8 * MIB - len(wanted)))

    def test_takes_another_name_of_it(self):
        os.symlink("sdb", self.node("by-id-stick"))
        self.assertEqual(self.run_usb(self.node("by-id-stick")).returncode, 0)
        os.symlink("sda1", self.node("by-id-system"))
        self.assert_refused(self.node("by-id-system"), "is a partition; name the whole device, /dev/sda.")

    def test_refuses_what_is_no_device(self):
        self.assert_refused("", "no device is named")
        self.assert_refused(self.node("sdz"), "is not there")
        self.write("dev/file", b"")
        self.assert_refused(self.node("file"), "is no block device")

    def test_refuses_a_partition(self):
        self.add_part("sdb", "sdb1", "8:17")
        self.assert_refused(self.node("sdb1"), "is a partition; name the whole device, /dev/sdb.")

    def test_refuses_a_disk_that_stays(self):
        self.add_disk("nvme0n1", "259:0", removable=0)
        self.assert_refused(self.node("nvme0n1"), "is not removable")

    def test_refuses_the_disk_of_the_system(self):
        self.assert_refused(self.node("sda"), "holds this system (sda1 is mounted at /)")
        # Also where it says of itself that it is removable.
        self.add_part("sdb", "sdb2", "8:18")
        self.mounts.append("30 21 8:18 / /boot/efi rw - vfat /dev/sdb2 rw")
        self.assert_refused(self.node("sdb"), "holds this system (sdb2 is mounted at /boot/efi)")

    def test_refuses_a_device_in_use(self):
        self.add_part("sdb", "sdb1", "8:17")
        self.mounts.append("31 21 8:17 / /media/my\\040stick rw - vfat /dev/sdb1 rw")
        self.assert_refused(self.node("sdb"), "/dev/sdb1 is mounted at /media/my stick; unmount it first")
        # A file system with a number of its own, as Btrfs has it.
        self.mounts[-1] = "31 21 0:44 / /mnt rw - btrfs /dev/sdb1 rw"
        self.assert_refused(self.node("sdb"), "/dev/sdb1 is mounted at /mnt")
        # The device as a whole.
        self.mounts[-1] = "31 21 8:16 / /mnt rw - vfat /dev/sdb rw"
        self.assert_refused(self.node("sdb"), "/dev/sdb is mounted at /mnt")
        self.mounts.pop()
        self.swaps.append("/dev/sdb1 partition 1000 0 -2")
        self.assert_refused(self.node("sdb"), "/dev/sdb1 is swap space")
        self.swaps.pop()
        os.makedirs(f"{self.root}/sys/class/block/sdb1/holders/dm-3")
        self.assert_refused(self.node("sdb"), "/dev/sdb1 is a part of dm-3")

    def test_refuses_what_cannot_hold_it(self):
        self.add_disk("sdc", "8:32", size=3 * MIB)
        self.assert_refused(self.node("sdc"), "has 3 MiB, and 4 MiB are needed")
        self.add_disk("sdd", "8:48", ro=1)
        self.assert_refused(self.node("sdd"), "is write-protected")
        self.add_disk("sde", "8:64", size=0)
        self.assert_refused(self.node("sde"), "has 0 MiB")

    def test_tells_that_it_reads_back_something_else(self):
        loader = importlib.machinery.SourceFileLoader("usb", USB)
        usb = importlib.util.module_from_spec(importlib.util.spec_from_loader("usb", loader))
        loader.exec_module(usb)
        with open(self.image, "rb") as file:
            content = file.read()
        usb.verify(self.image, self.write("dev/right", content + b"more"))
        for name, wrong, at in (("changed", content[:-2] + bytes(255 - b for b in content[-2:]), len(content) - 2), ("short", content[:-7], len(content) - 7)):
            with self.assertRaisesRegex(usb.UsbError, f"to byte {at};"):
                usb.verify(self.image, self.write("dev/" + name, wrong))


if __name__ == "__main__":
    unittest.main()
