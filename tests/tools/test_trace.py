# SPDX-License-Identifier: MIT
"""tools/trace: that every form of a trace holds what was recorded, by the grammar that its readers expect."""

import collections
import json
import random
import re
import struct
import subprocess
import sys
import unittest

import trace_file as t
import trace_perfetto
import trace_text

TRACE = [sys.executable, t.__file__.replace("trace_file.py", "trace")]
HZ = 2_000_000_000
HEX = "[0-9a-f]+"

# Of each event, what the kernel's format string prints (arch/x86/kvm/trace.h, mmu/mmutrace.h); below, our own.
EVENTS = (
    rf"kvm_exit: vcpu \d+ reason [A-Z_\d]+( FAILED_VMENTRY)? rip 0x{HEX} info1 0x[0-9a-f]{{16}} info2 0x[0-9a-f]{{16}} "
    r"intr_info 0x[0-9a-f]{8} error_code 0x[0-9a-f]{8}",
    rf"kvm_entry: vcpu \d+, rip 0x{HEX}",
    rf"kvm_mmio: mmio (unsatisfied-read|read|write) len \d+ gpa 0x{HEX} val 0x{HEX}",
    rf"mark_mmio_spte: sptep:{HEX} gfn {HEX} access {HEX} gen {HEX}",
    rf"check_mmio_spte: spte {HEX} kvm_gen {HEX} spte-gen {HEX} valid [01]",
    rf"handle_mmio_page_fault: addr:{HEX} gfn {HEX} access {HEX}",
    rf"trapline_ring: gpa 0x{HEX} range \d+",
    r"trapline_commit: generation \d+ ranges \d+",
    r"trapline_grace: round \d+ ticks \d+",
    rf"trapline_zap: gpa 0x{HEX}-0x{HEX}",
    r"trapline_flush: number \d+",
    r"trapline_kick: cpu \d+",
)
FTRACE = re.compile(r" *(\S+)-(\d+) +\[(\d{3})\] .{4} +(\d+(\.\d{6})?): (" + "|".join(EVENTS) + ")")

# Linux' Documentation/trace/mmiotrace.rst, "Trace Log Format".
NUMBER, TIME = f"0x{HEX}", r"\d+\.\d{6}"
MMIOTRACE = {
    "R": rf"R [1248] {TIME} \d+ {NUMBER} {NUMBER} {NUMBER} \d+",
    "W": rf"W [1248] {TIME} \d+ {NUMBER} {NUMBER} {NUMBER} \d+",
    "MAP": rf"MAP {TIME} \d+ {NUMBER} {NUMBER} {NUMBER} {NUMBER} \d+",
    "UNMAP": rf"UNMAP {TIME} \d+ {NUMBER} \d+",
    "MARK": rf"MARK {TIME} .+",
    "VERSION": r"VERSION 20070824",
}


def record(tsc, event, detail=0, size=0, vcpu=1, gpa=0, data=0, rip=0, other=0, range_id=0):
    return struct.pack("<QBBB3xHQQQQQ8x", tsc, event, detail, size, vcpu, gpa, data, rip, other, range_id)


def frame(kind, content, cpu=0, count=None, value=0):
    return struct.pack("<8sHHIQ", t.MAGIC, kind, cpu, len(content) if count is None else count, value) + content


def records_frame(records, cpu=0, lost=0):
    return frame(t.FRAME_RECORDS, b"".join(records), cpu, len(records), lost)


def guest_frame(name="guest", hz=HZ):
    return frame(t.FRAME_GUEST, name.encode(), value=hz)


SPTE = 0xC00FFFFF0000801E  # an MMIO entry of range 8 with the tag 3


def access(tsc, gpa, data, how=t.WRITE, vcpu=1, rip=0x1000):
    """The records of an access as vmx/exit_traced.c makes them."""
    return [
        record(tsc, t.EXIT, vcpu=vcpu, gpa=gpa, data=t.EPT_MISCONFIGURATION, rip=rip),
        record(tsc + 100, t.CHECK, vcpu=vcpu, gpa=gpa, data=SPTE, other=SPTE, range_id=8),
        record(tsc + 200, t.MMIO, how, 0 if how == t.RING else 4, vcpu, gpa, data, 0, tsc + 150, 8),
        record(tsc + 300, t.ENTRY, vcpu=vcpu, rip=rip + 3),
    ]


def mixed_trace():
    """Two vCPUs on two CPUs, with one of each event, between an emulator's own messages."""
    first = access(1000, 0xD0001010, 0xCAFE) + access(2000, 0xD0001014, 0xBEEF, t.READ, rip=0x1010)
    first += [
        record(2600, t.MARK, gpa=0xD0001010, data=SPTE, other=SPTE, range_id=8),
        record(2650, t.FAULT, gpa=0xD0001010, data=SPTE, other=SPTE, range_id=8),
        record(2700, t.COMMIT, vcpu=0, data=7, range_id=16),
        record(3700, t.GRACE, vcpu=0, gpa=500, data=12),
        record(3800, t.ZAP, vcpu=0, gpa=0x100000, data=0x1FFFFF),
        record(3900, t.FLUSH, vcpu=1, data=4),
        record(4000, t.KICK, vcpu=0, data=1),
    ]
    second = access(1500, 0xD0002000, 0, t.RING, vcpu=2) + access(5000, 0xD0001018, 0, t.UNSATISFIED, vcpu=2)
    return b"".join(
        (b"<bochs:1> \n", guest_frame("one"), records_frame(first), b"a message\n", records_frame(second, 1, 5), b"the end\n")
    )  # fmt: skip


def written(writer, data):
    return "".join(writer(t.read(data))).splitlines()


class File(unittest.TestCase):
    def test_order_is_by_time_over_all_cpus(self):
        (guest,) = t.read(mixed_trace())
        self.assertEqual((guest.name, guest.tsc_hz, guest.lost), ("one", HZ, 5))
        times = [record[0] for record in guest.records]
        self.assertEqual(times, sorted(times))
        self.assertEqual(len(times), 8 + 7 + 8)
        self.assertEqual({record[-1] for record in guest.records}, {0, 1})

    def test_each_guest_has_its_own(self):
        data = guest_frame("a") + records_frame(access(1, 0, 0)) + guest_frame("b") + records_frame([])
        self.assertEqual([(guest.name, len(guest.records)) for guest in t.read(data)], [("a", 4), ("b", 0)])

    def test_what_is_no_trace_is_refused(self):
        whole = mixed_trace()
        for data in (
            b"", b"no trace at all", whole[: whole.index(b"a message") - 1], t.MAGIC, records_frame(access(1, 0, 0)),
            guest_frame() + frame(3, b""), guest_frame() + frame(t.FRAME_RECORDS, b"", count=1 << 30),
        ):  # fmt: skip
            with self.subTest(data[:40]), self.assertRaises(t.TraceError):
                t.read(data)

    def test_tag(self):
        self.assertEqual(t.tag(SPTE), 3)
        self.assertEqual(t.tag(0x3FF << 52 | 0x1FF << 3), (1 << 19) - 1)


class Ftrace(unittest.TestCase):
    def lines(self, data):
        return [line for line in written(trace_text.ftrace, data) if not line.startswith("#")]

    def test_every_line_is_as_the_kernel_prints_it(self):
        lines = self.lines(mixed_trace())
        self.assertEqual(len(lines), 23)
        for line in lines:
            self.assertRegex(line, FTRACE.pattern + "$")
        names = {FTRACE.match(line)[6].split(":")[0] for line in lines}
        self.assertEqual(len(names), 12)

    def test_what_the_lines_say(self):
        lines = self.lines(mixed_trace())
        self.assertIn("vcpu1-1 [000] d...     0.000000: kvm_exit: vcpu 1 reason EPT_MISCONFIG rip 0x1000 ", lines[0])
        self.assertIn("check_mmio_spte: spte c00fffff0000801e kvm_gen 3 spte-gen 3 valid 1", lines[1])
        self.assertIn("kvm_mmio: mmio write len 4 gpa 0xd0001010 val 0xcafe", lines[2])
        self.assertIn("kvm_entry: vcpu 1, rip 0x1003", lines[3])
        self.assertIn("vcpu2-2 [001]", lines[4])

    def test_without_a_rate_the_time_is_ticks(self):
        (line,) = self.lines(guest_frame(hz=0) + records_frame([record(123456789012, t.FLUSH)]))
        self.assertIn(" 123456789012: ", line)
        self.assertRegex(line, FTRACE.pattern + "$")


class Mmiotrace(unittest.TestCase):
    def test_grammar(self):
        lines = written(trace_text.mmiotrace, mixed_trace())
        self.assertEqual(lines[0], "VERSION 20070824")
        for line in lines:
            self.assertRegex(line, MMIOTRACE[line.split()[0]] + "$")
        self.assertEqual(collections.Counter(line.split()[0] for line in lines)["UNMAP"], 1)

    def test_accesses_with_their_instructions(self):
        lines = written(trace_text.mmiotrace, mixed_trace())
        self.assertIn("MAP 0.000001 8 0xd0001000 0xd0001000 0x1000 0x0 0", lines)
        self.assertIn("W 4 0.000001 8 0xd0001010 0xcafe 0x1000 1", lines)
        self.assertIn("R 4 0.000001 8 0xd0001014 0xbeef 0x1010 1", lines)
        # A read that was not answered yet, and a doorbell without data, are no accesses to it.
        self.assertEqual(sum(line[0] in "RW" for line in lines), 2)


class Perfetto(unittest.TestCase):
    def events(self, data):
        return json.loads("\n".join(written(trace_perfetto.perfetto, data)))["traceEvents"]

    def check_form(self, events):
        """The Trace Event Format: what each phase must have; slices of a thread nest; flows begin and end in slices."""
        slices, starts, named = collections.defaultdict(list), {}, set()
        for event in events:
            self.assertIn(event["ph"], "XisfM")
            self.assertIsInstance(event["pid"], int)
            if event["ph"] == "M":
                named.add((event["name"], event["pid"], event.get("tid")))
                continue
            self.assertGreaterEqual(event["ts"], 0)
            if event["ph"] == "X":
                self.assertGreater(event["dur"], 0)
                slices[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
            if event["ph"] == "s":
                self.assertNotIn(event["id"], starts)
                starts[event["id"]] = event
        for thread in slices.values():
            open_until = []
            for begin, end in sorted(thread, key=lambda s: (s[0], -s[1])):
                while open_until and open_until[-1] <= begin:
                    open_until.pop()
                self.assertTrue(not open_until or end <= open_until[-1], "slices cross")
                open_until.append(end)
        for event in events:
            if event["ph"] in "sf":
                inside = slices[event["pid"], event["tid"]]
                self.assertTrue(any(begin <= event["ts"] < end for begin, end in inside), "a flow outside of a slice")
            if event["ph"] == "f":
                self.assertEqual(event["bp"], "e")
                self.assertLessEqual(starts[event["id"]]["ts"], event["ts"])
            if event["ph"] in "Xi":
                self.assertIn(("thread_name", event["pid"], event["tid"]), named)
                self.assertIn(("process_name", event["pid"], None), named)

    def test_form(self):
        self.check_form(self.events(mixed_trace()))

    def test_what_it_shows(self):
        events = self.events(mixed_trace())
        exits = [event for event in events if event["name"] == "EPT_MISCONFIG"]
        self.assertEqual([(event["tid"], event["ts"], event["dur"]) for event in exits[:2]], [(1, 0.5, 0.15), (2, 0.75, 0.15)])
        device = [event for event in events if event["name"] == "kvm_mmio"][0]
        self.assertEqual((device["ph"], device["ts"], device["dur"]), ("X", 0.575, 0.025))
        (grace,) = (event for event in events if event["name"] == "grace period")
        self.assertEqual((grace["ts"], grace["dur"]), (1.6, 0.25))
        # vCPU 2 alone has an exit after the commit.
        (flow,) = (event for event in events if event["ph"] == "f")
        self.assertEqual((flow["tid"], flow["ts"]), (2, 2.5))

    def test_random_traces(self):
        draw = random.Random(7)
        for _ in range(20):
            tsc, data = 0, [guest_frame()]
            for _ in range(50):
                tsc += draw.randrange(400, 2000)
                cpu = draw.randrange(3)
                if draw.random() < 0.2:
                    data.append(records_frame([record(tsc, t.COMMIT, vcpu=0, data=tsc)], cpu))
                else:
                    data.append(records_frame(access(tsc, 0x1000, tsc, vcpu=1 + cpu), cpu))
            self.check_form(self.events(b"".join(data)))


class Program(unittest.TestCase):
    def run_on(self, *arguments):
        return subprocess.run([*TRACE, *arguments], capture_output=True, text=True, check=False)

    def test_refusals(self):
        for arguments, status, said in (
            (["/dev/null", "svg"], 2, "ftrace, mmiotrace, perfetto"),
            ([], 2, "tools/trace FILE FORMAT"),
            (["/dev/null", "ftrace"], 1, "/dev/null: it holds no trace: boot with the words trace="),
            (["/nowhere", "ftrace"], 1, "/nowhere: No such file"),
        ):
            done = self.run_on(*arguments)
            self.assertEqual((done.returncode, done.stdout), (status, ""))
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
