# SPDX-License-Identifier: MIT
"""The figures of Linux, as a guest and under KVM, are those of the run, or there are none."""

import unittest

import linux_bench
from kvm_linux import figures as kvm_linux

KVM = (
    "linux: userspace after 1000000 ticks",
    "linux: 64 pages were read in 6400 ticks",
    "linux: passed",
    "kvm-linux: entered after 400000 ticks, 100 exits of KVM's, of them served here 15 of ports, 8 of MMIO",
    "kvm-linux: exits: 30 irq_exits",
    "kvm-linux: exits: 20 io_exits",
    "kvm-linux: exits: 0 halt_exits",
    "kvm-linux: exits: 7 irq_window_exits",
    "kvm-linux: exits: 11 pf_taken",
)
OURS = (
    "linux: userspace after 600000 ticks",
    "linux: 64 pages were read in 12800 ticks",
    "exits: 90 all",
    "exits: 31 external interrupt",
    "exits: 9 RDMSR",
    "exits: 21 I/O instruction",
    "exits: 5 EPT violation",
    "linux                   5012      3000     1000        0        0        2      0        78000  pass",
)


def console(lines):
    """The lines, with their ends as a serial port has them."""
    return "".join(line + "\r\n" for line in lines)


def without(lines, which):
    return console(line for line in lines if line != which)


class UnderKvm(unittest.TestCase):
    def test_each_figure_is_its_own(self):
        self.assertEqual(
            kvm_linux.figures(console(KVM)),
            {
                "kvm_linux_guest_ticks": 600000,
                "kvm_linux_exits": 100,
                "kvm_linux_user_exits": 23,
                "kvm_linux_disk_4k_read_ticks": 100,
                "kvm_linux_exits_external_interrupt": 30,
                "kvm_linux_exits_interrupt_window": 7,
                "kvm_linux_exits_port": 20,
                "kvm_linux_exits_hlt": 0,
                "kvm_linux_exits_ept_violation": 11,
                "kvm_linux_exits_other": 32,
            },
        )

    def test_each_line_must_be_there(self):
        for line in KVM:
            with self.subTest(line), self.assertRaisesRegex(ValueError, "lacks a figure"):
                kvm_linux.figures(without(KVM, line))

    def test_figures_that_contradict_each_other_are_none(self):
        for before, after in (
            ("after 1000000 ticks", "after 400000 ticks"),  # userspace no later than the entry
            ("100 exits", "22 exits"),  # fewer in all than were served
            ("100 exits", "67 exits"),  # fewer in all than by reason
            ("20 io_exits", "14 io_exits"),  # fewer of ports than were served
        ):
            with self.subTest(after), self.assertRaisesRegex(ValueError, "contradict"):
                kvm_linux.figures(console(KVM).replace(before, after))


class AsAGuest(unittest.TestCase):
    def test_each_figure_is_its_own(self):
        self.assertEqual(
            linux_bench.guest_figures(console(OURS).replace("\r", "")),
            {
                "linux_guest_ticks": 600000,
                "linux_mmio_exits": 4000,
                "linux_fresh_ratio": 0.75,
                "linux_disk_4k_read_ticks": 200,
                "linux_exits": 90,
                "linux_exits_external_interrupt": 31,
                "linux_exits_interrupt_window": 0,
                "linux_exits_port": 21,
                "linux_exits_hlt": 0,
                "linux_exits_ept_violation": 5,
                "linux_exits_other": 33,
            },
        )

    def test_what_is_missing_is_no_figure(self):
        for line in (OURS[0], OURS[1], OURS[2], OURS[-1]):
            with self.subTest(line), self.assertRaises(linux_bench.LinuxBenchError):
                linux_bench.guest_figures(without(OURS, line).replace("\r", ""))

    def test_both_sides_have_the_same_reasons(self):
        self.assertEqual(linux_bench.REASONS.keys(), kvm_linux.STATISTICS.keys())
        for end in linux_bench.REASONS:
            self.assertIn("linux_exits_" + end, linux_bench.FIGURES)

    def test_the_bar_is_kvms_figure_of_the_same_run_or_the_one_that_stands(self):
        (_, beats), = linux_bench.bars()["linux_guest_ticks"]
        self.assertTrue(beats(99, {"kvm_linux_guest_ticks": 100}))
        self.assertFalse(beats(100, {"kvm_linux_guest_ticks": 100}))
        self.assertTrue(beats(1, {}))
        self.assertFalse(beats(10**12, {}))


if __name__ == "__main__":
    unittest.main()
