# SPDX-License-Identifier: MIT
"""What cannot be booted is refused in one sentence, before an emulator is started."""

import os
import tempfile
import unittest

import machine
import qemu

KERNEL = qemu.Kernel("image", "", [])


class Refusals(unittest.TestCase):
    def refusal(self, boot="trapline.iso", **settings):
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(machine.CannotRun) as caught:
            machine.make_command(boot, machine.Settings(**settings), folder, "")
        return str(caught.exception)

    def test_each_names_the_thing_and_what_to_do(self):
        for words, boot, settings in (
            ("BACKEND=vmware is unknown; use bochs, kvm or kvm-in-bochs.", "x.iso", {"backend": "vmware"}),
            ("MACHINE=virt is unknown; use", "x.iso", {"machine": "virt"}),
            ("FIRMWARE=coreboot is unknown; use", "x.iso", {"firmware": "coreboot"}),
            ("MEM=7 is too little", "x.iso", {"memory": 7}),
            ("have no UEFI; use FIRMWARE=bios", "x.iso", {"firmware": "uefi"}),
            ("use BOOT=iso", KERNEL, {}),
            ("use BOOT=iso", KERNEL, {"backend": "kvm-in-bochs", "firmware": "uefi"}),
            ("TRACE= is not for kvm-in-bochs", "x.iso", {"backend": "kvm-in-bochs", "debugcon": True}),
        ):
            with self.subTest(words):
                self.assertIn(words, self.refusal(boot, **settings))

    def test_the_least_memory_is_enough(self):
        with tempfile.TemporaryDirectory() as folder:
            command = machine.make_command("x.iso", machine.Settings(memory=machine.LEAST_MEMORY), folder, "")
            self.assertEqual(command[0], "bochs-bin")
            with open(os.path.join(folder, "bochsrc"), encoding="utf-8") as file:
                self.assertIn("memory: guest=8, host=8", file.read())


if __name__ == "__main__":
    unittest.main()
