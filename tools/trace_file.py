# SPDX-License-Identifier: MIT
"""Reads the trace that the image writes to the debug console: the frames of boot/trace_out.c.

An emulator's own messages may stand between frames; a frame begins with its magic.
"""

import dataclasses
import struct

MAGIC = b"TRAPLINE"
FRAME = struct.Struct("<8sHHIQ")
# struct tl_trace_record: tsc, event, detail, size, vcpu, gpa, data, rip, other, range.
RECORD = struct.Struct("<QBBB3xHQQQQQ8x")
FRAME_GUEST, FRAME_RECORDS = 1, 2
MOST_RECORDS = 1 << 20  # of a frame: more is a damaged count

# enum tl_trace_event
EXIT, ENTRY, MARK, CHECK, FAULT, MMIO, COMMIT, GRACE, ZAP, FLUSH, KICK = range(11)
# enum tl_trace_access
READ, WRITE, UNSATISFIED, RING = range(4)

EPT_VIOLATION, EPT_MISCONFIGURATION = 48, 49


class TraceError(Exception):
    """The file holds no trace; the text says why."""


@dataclasses.dataclass
class Guest:
    """What was traced of one guest: its records by time, each (tsc, event, ..., range, cpu)."""

    name: str
    tsc_hz: int
    records: list
    lost: int = 0


def frames(data):
    """Each frame's (kind, cpu, count, value, content)."""
    at = data.find(MAGIC)
    while at >= 0:
        if at + FRAME.size > len(data):
            raise TraceError("the trace ends within a frame: the run did not come to its end.")
        _, kind, cpu, count, value = FRAME.unpack_from(data, at)
        if kind not in (FRAME_GUEST, FRAME_RECORDS) or count > MOST_RECORDS:
            raise TraceError(f"at byte {at} the trace has a frame of kind {kind} with {count} items, which is none.")
        size = count * (RECORD.size if kind == FRAME_RECORDS else 1)
        content = data[at + FRAME.size : at + FRAME.size + size]
        if len(content) != size:
            raise TraceError("the trace ends within a frame: the run did not come to its end.")
        yield kind, cpu, count, value, content
        at = data.find(MAGIC, at + FRAME.size + size)


def read(data):
    """The guests that were traced, in their order."""
    guests = []
    for kind, cpu, _, value, content in frames(data):
        if kind == FRAME_GUEST:
            guests.append(Guest(content.decode("ascii", "backslashreplace"), value, []))
        elif not guests:
            raise TraceError("the trace has records before the first guest.")
        else:
            guests[-1].lost += value
            guests[-1].records += [(*record, cpu) for record in RECORD.iter_unpack(content)]
    if not guests:
        raise TraceError("it holds no trace: boot with the words trace=EVENT,... and trace-to=debugcon.")
    for guest in guests:
        guest.records.sort(key=lambda record: record[0])
    return guests


def tag(spte):
    """The tag of an MMIO entry: bits 11:3 and 61:52 (mmu/ept.h)."""
    return (spte >> 3 & 0x1FF) | (spte >> 52 & 0x3FF) << 9
