# SPDX-License-Identifier: MIT
"""A trace as JSON in the Trace Event Format, which ui.perfetto.dev and chrome://tracing open.

A guest is a process; its vCPUs are threads, on which an exit is a slice from the exit to the next entry with what was
done in it; commits, grace periods, flushes and kicks are on threads of the host's CPUs. From each commit a flow leads to the first
exit of each vCPU after it, which is the first that sees the new map.
"""

import json

import trace_file as t
import trace_text

HOST_THREADS = 1000  # the thread of CPU 0; vCPUs stand below


class Writer:
    """The events of one guest, in the order of its records."""

    def __init__(self, pid, guest):
        self.pid, self.guest = pid, guest
        self.per_us = (guest.tsc_hz or 10**9) / 1e6
        self.exits = {}  # vCPU: the record of the exit that it is in
        self.commits = {}  # vCPU: how many of the commits it has seen
        self.published = []  # the flow ids of the commits
        self.threads = {}

    def event(self, phase, name, tsc, tid, **more):
        return {"ph": phase, "name": name, "ts": tsc / self.per_us, "pid": self.pid, "tid": tid, **more}

    def slice(self, name, begin, end, tid, args):
        return self.event("X", name, begin, tid, dur=(end - begin) / self.per_us, cat="trapline", args=args)

    def host(self, cpu):
        return self.thread(HOST_THREADS + cpu, f"CPU {cpu}")

    def thread(self, tid, name):
        self.threads.setdefault(tid, name)
        return tid

    def flows(self, vcpu, tsc):
        seen = self.commits.get(vcpu, 0)
        self.commits[vcpu] = len(self.published)
        for flow in self.published[seen:]:
            yield self.event("f", "new map", tsc, vcpu, id=flow, bp="e", cat="commit")

    def end_of_exit(self, vcpu, tsc):
        begun = self.exits.pop(vcpu, None)
        if not begun:
            return
        args = {"rip": hex(begun[7]), "qualification": hex(begun[8]), "gpa": hex(begun[5])}
        yield self.slice(trace_text.reason_name(begun[6]), begun[0], tsc, self.thread(vcpu, f"vCPU {vcpu}"), args)
        yield from self.flows(vcpu, begun[0])

    def of_host(self, record):
        tsc, event, data, cpu = record[0], record[1], record[6], record[-1]
        name = trace_text.TEXT[event](record)
        if event == t.GRACE:
            yield self.slice("grace period", tsc - record[5], tsc, self.host(cpu), {"round": data})
            return
        title = name.split(":")[0].replace("trapline_", "")
        # One tick long, so that a flow has a slice to begin in.
        yield self.slice(title, tsc, tsc + 1, self.host(cpu), {"what": name})
        if event == t.COMMIT:
            flow = f"{self.pid}.{len(self.published)}"
            self.published.append(flow)
            yield self.event("s", "new map", tsc, self.host(cpu), id=flow, cat="commit")

    def of_vcpu(self, record):
        name, _, what = trace_text.TEXT[record[1]](record).partition(": ")
        tid = self.thread(record[4], f"vCPU {record[4]}")
        if record[1] == t.MMIO and record[8]:
            # With the time in the device: a slice within that of the exit.
            yield self.slice(name, record[8], record[0], tid, {"what": what, "range": record[9]})
            return
        yield self.event("i", name, record[0], tid, s="t", cat="trapline", args={"what": what, "range": record[9]})

    def events(self):
        last = 0
        for record in self.guest.records:
            last, event, vcpu = record[0], record[1], record[4]
            if event == t.EXIT:
                self.exits[vcpu] = record
            elif event == t.ENTRY:
                yield from self.end_of_exit(vcpu, last)
            elif event in (t.COMMIT, t.GRACE, t.ZAP, t.FLUSH, t.KICK):
                yield from self.of_host(record)
            else:
                yield from self.of_vcpu(record)
        for vcpu in list(self.exits):
            yield from self.end_of_exit(vcpu, last)
        yield {"ph": "M", "name": "process_name", "pid": self.pid, "args": {"name": self.guest.name}}
        for tid, name in self.threads.items():
            yield {"ph": "M", "name": "thread_name", "pid": self.pid, "tid": tid, "args": {"name": name}}


def perfetto(guests):
    encode = json.JSONEncoder(separators=(",", ":")).encode
    yield '{"displayTimeUnit":"ns","traceEvents":[\n'
    comma = ""
    for pid, guest in enumerate(guests, 1):
        for event in Writer(pid, guest).events():
            yield comma + encode(event)
            comma = ",\n"
    yield "\n]}\n"
