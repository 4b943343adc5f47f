# SPDX-License-Identifier: MIT
"""`make bench` gives no result that is incomplete, makes no sense, or is another one the next time."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import tempfile
import unittest
from unittest import mock

import bench_report
import bochs_trace

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/bench")


def load_tool():
    loader = importlib.machinery.SourceFileLoader("bench_tool", TOOL)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_tool", loader))
    loader.exec_module(module)
    return module


bench = load_tool()


def complete():
    names = (
        "map_ranges", *bench_report.MEASURED, *bench_report.POLICY_FIGURES, *bench_report.COUNTED, *bench_report.BOOTED,
        *bench_report.HOSTED, *bench_report.DEVICES,
    )  # fmt: skip
    return dict.fromkeys(names, 5)


def path(instructions, functions=None):
    kinds = dict.fromkeys(bench_report.LABELS, 0)
    return bochs_trace.Path(instructions, kinds, functions or {"(guest)": 1})


class Figures(unittest.TestCase):
    def test_complete_ones_are_taken(self):
        bench.check(complete() | {"locked_ops_mmio": 0, "doorbell_fences": 0})

    def test_each_must_be_there(self):
        for name in complete():
            figures = complete()
            del figures[name]
            with self.assertRaisesRegex(bench.BenchError, f"^{name} is missing"):
                bench.check(figures)

    def test_none_may_make_no_sense(self):
        for name in ("mmio_read32_ticks", "hosted_scaling_2", "kvm_anything_ticks"):
            for value in (0, -1, float("nan"), float("inf")):
                with self.assertRaisesRegex(bench.BenchError, f"^{name} is .*makes no sense"):
                    bench.check(complete() | {name: value})

    def test_an_exit_reads_the_vmcs(self):
        with self.assertRaisesRegex(bench.BenchError, "does not show the exit"):
            bench.check(complete() | {"vmcs_reads_mmio": 0})

    def test_a_figure_stands_once_on_the_console(self):
        with self.assertRaisesRegex(bench.BenchError, "x_ticks twice"):
            bench.read_figures("bench: x_ticks 1 2 3\nbench: x_ticks 1 2 3\n")
        self.assertEqual(bench.read_figures("bench: x_ticks 1 2 3\n"), {"x_ticks": 2, "x_ticks_min": 1, "x_ticks_p99": 3})


class Runs(unittest.TestCase):
    def consoles(self, *texts):
        return mock.patch.object(bench, "boot", side_effect=texts)

    def test_two_runs_must_agree(self):
        first = "bench: mmio_read32_ticks 1 260 3\nbench: mmio_read32_traced_ticks 1 500 3\n"
        with self.consoles(first, first.replace("260", "261"), ""):
            with self.assertRaisesRegex(bench.BenchError, "different ticks: mmio_read32_ticks"):
                bench.measure("build", "folder", 1)

    def test_so_must_those_of_each_policy(self):
        first = "bench: bars_move_ticks 1 10 30\n"
        with self.consoles(first, first, first, first.replace("30", "31")):
            with self.assertRaisesRegex(bench.BenchError, "invalidate=all gave different ticks"):
                bench.measure_policies("build", "folder", 1)
        with self.consoles(*[first] * 6):
            figures = bench.measure_policies("build", "folder", 1)
        self.assertEqual(figures["policy_zap_move_ticks"], 10)

    def test_clock_and_trace_must_agree(self):
        bench.check_traced({"x": 1000}, {"p": path(1010)}, {"p": "x"})
        with self.assertRaisesRegex(bench.BenchError, "the trace of p has 1011"):
            bench.check_traced({"x": 1000}, {"p": path(1011)}, {"p": "x"})
        # Sixteen accesses, each rounded up; and a call that is not timed.
        bench.check_traced({"x": 119}, {"p": path(1889)}, {"p": ("x", 16)})
        bench.check_traced({"x": 100}, {"p": path(107, {"(guest)": 8})}, {"p": "x"})


class Silicon(unittest.TestCase):
    def console(self, skip=""):
        names = (name for name in bench_report.MEASURED if name not in (*bench.ELSEWHERE, skip))
        return "".join(f"bench: {name} 1100 1200 1300\n" for name in names)

    def report(self, text):
        with tempfile.TemporaryDirectory() as folder:
            results = [os.path.join(folder, name) for name in ("bench.json", "bench.md")]
            with open(os.path.join(folder, "serial.txt"), "w", encoding="utf-8") as file:
                file.write(text)
            with contextlib.redirect_stdout(io.StringIO()):
                bench.report_silicon(os.path.join(folder, "serial.txt"), results)
            with open(results[0], encoding="utf-8") as figures, open(results[1], encoding="utf-8") as table:
                return json.load(figures), table.read()

    def test_cycles_are_marked_as_such(self):
        figures, table = self.report(self.console())
        self.assertEqual((figures["cycles_on_silicon"], figures["vmcall_ticks_p99"]), (1, 1300))
        self.assertIn("Cycles of the time-stamp counter on silicon", table)
        self.assertRegex(table, r"`vmcall_cycles` +\| +1,100 \| +1,200 \| +1,300")
        self.assertNotIn("_ticks", table)

    def test_each_must_be_there(self):
        with self.assertRaisesRegex(bench.BenchError, "^doorbell_ticks is missing"):
            self.report(self.console(skip="doorbell_ticks"))


class Ratios(unittest.TestCase):
    def test_rows_below_the_bar_are_named(self):
        kvm = {"vmcall_ticks": {"low": 1000}, "cpuid_ticks": {"low": 960}, "vmcs_reads_mmio": {"low": 11}}
        text = " ".join(bench_report.ratio_lines({"vmcall_ticks": 50, "cpuid_ticks": 120, "vmcs_reads_mmio": 8}, kvm))
        self.assertIn("In the 2 rows", text)
        self.assertIn("MISSED by `cpuid_ticks` (8.0); 13 in the median, met", text)


if __name__ == "__main__":
    unittest.main()
