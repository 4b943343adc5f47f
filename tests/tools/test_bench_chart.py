# SPDX-License-Identifier: MIT
"""The benchmark's chart: what is handed to gnuplot."""

import os
import tempfile
import unittest
from unittest import mock

import bench_chart

FIGURES = {
    "vmcall_ticks": 67, "vmcall_ticks_min": 66, "stale_total_ticks": 440, "vmcs_reads_mmio": 8,
    "curve_invalidate_ticks_live_0": 546, "curve_invalidate_ticks_live_1000000": 562,
    "curve_invalidate_ticks_live_1000": 560, "curve_invalidate_ticks_live_1000_min": 1,
    "kvm_curve_remove_ram_ticks_live_0": 482013, "curve_read32_ticks_ranges_16": 261,
}  # fmt: skip
KVM = {"vmcall_ticks": {"low": 1000}, "stale_total_ticks": {"low": 5072, "high": 5220}, "vmcs_reads_mmio": {"low": 11},
       "unmeasured_ticks": {"low": 5}}  # fmt: skip


class Chart(unittest.TestCase):
    def test_bars_are_what_both_have_in_ticks(self):
        self.assertEqual(bench_chart.bars(FIGURES, KVM), '"vmcall" 67 1000\n"stale_total" 440 5072\n')

    def test_points_rise_and_none_is_one(self):
        points = bench_chart.curve_points(FIGURES)
        self.assertEqual(points["", "invalidate", "live"], [(1, 546), (1000, 560), (1000000, 562)])
        self.assertEqual(points["kvm_", "remove_ram", "live"], [(1, 482013)])
        self.assertEqual(set(points), {("", "invalidate", "live"), ("kvm_", "remove_ram", "live"), ("", "read32", "ranges")})

    def test_script_draws_only_what_there_is(self):
        script = bench_chart.script(FIGURES, KVM, "svg", "chart.svg")
        self.assertIn("$invalidate_live << EOD\n1 546\n1000 560\n1000000 562\nEOD\n", script)
        self.assertIn('title "KVM: a memory slot removed"', script)
        self.assertNotIn("2 MiB of RAM", script)
        self.assertEqual(script.count("<< EOD"), script.count("\nEOD\n"))

    def test_policies_are_drawn_beside_each_other(self):
        what = {"move_ticks": 1, "read_all_ticks": 2, "stall_ticks": 3}
        ticks = {f"policy_{policy}_{row}": 10 * n + value for n, policy in enumerate(bench_chart.POLICIES, 1) for row, value in what.items()}
        script = bench_chart.script(FIGURES | ticks, KVM, "svg", "chart.svg")
        self.assertIn('$policies << EOD\n"a move" 11 21 31\n"1,000 reads" 12 22 32\n"longest wait" 13 23 33\nEOD\n', script)
        self.assertIn('$policies using 2:xtic(1) title "tags"', script)
        self.assertNotIn("$policies", bench_chart.script(FIGURES, KVM, "svg", "chart.svg"))

    def test_pictures(self):
        with tempfile.TemporaryDirectory() as folder:
            with mock.patch("subprocess.run", side_effect=FileNotFoundError):
                with self.assertRaisesRegex(bench_chart.ChartError, "tools/setup bench"):
                    bench_chart.draw(FIGURES, KVM, folder)
            failed = mock.Mock(returncode=1, stderr="line 3: undefined\n")
            with mock.patch("subprocess.run", return_value=failed):
                with self.assertRaisesRegex(bench_chart.ChartError, "bench.svg: line 3: undefined"):
                    bench_chart.draw(FIGURES, KVM, folder)
            self.assertEqual(os.listdir(folder), [])


if __name__ == "__main__":
    unittest.main()
