# SPDX-License-Identifier: MIT
"""Reads the instruction trace that Bochs' debugger writes, and counts in it what a path costs.

A traced guest executes XCHG BX, BX before and after each exit that is to be traced. The debugger stops at them.
"""

import bisect
import collections
import dataclasses
import re
import subprocess

# On to the beginning of a piece, on to its end; for more pieces than there are. What is left over is not executed.
COMMANDS = "c\ntrace on\nc\ntrace off\n" * 1000

# The guest's lines: the name of what the next pieces trace, and whether the host takes the time of a part of them.
NAME_LINE = re.compile(r"trace: (\w+)( timed)?\s*$", re.MULTILINE)

# (0).[117377327] [0x00000010f800] 0008:000000000010f800 (unk. ctxt): push rdi                  ; 57
INSTRUCTION = re.compile(r"\(\d+\)\.\[\d+\] \[0x([0-9a-f]+)\] [0-9a-f]+:([0-9a-f]+) \(.*?\): (.+?)\s*; [0-9a-f]+")
# What the debugger says at its stops.
STOP = re.compile(r"\(\d+\) (Magic breakpoint|\[0x[0-9a-f]+\] .*)|Next at t=\d+")
DISTURBED = re.compile(r"CPU \d+: (Interrupt|Exception) .*")
MAGIC = "xchg bx, bx"

# What costs more on silicon than an instruction does, by mnemonic; locked operations are told by their operands, too.
KINDS = {
    "vmcs_reads": {"vmread"},
    "vmcs_writes": {"vmwrite"},
    "fences": {"mfence", "lfence", "sfence"},
    "msr_accesses": {"rdmsr", "wrmsr"},
    "flushes": {"invept", "invvpid", "invlpg", "invpcid"},
}
LOCKED = "locked_ops"

# Accesses to memory, as instructions ask for them: an operand is one, one that is changed in place two, and what goes
# over the stack one more. Neither fetches nor page walks count, nor what VMX moves by itself.
MEMORY = "memory_accesses"
PREFIXES = {"lock", "rep", "repe", "repne", "repz", "repnz"}
NO_ACCESS = {"lea", "nop", "invlpg", "prefetcht0", "prefetcht1", "prefetcht2", "prefetchnta", "prefetchw"}
TWO_OPERANDS = re.compile(r"(movs|cmps)[bwdq]")
CHANGES = {
    "add", "adc", "sub", "sbb", "and", "or", "xor", "inc", "dec", "neg", "not", "xchg", "xadd", "cmpxchg", "cmpxchg8b",
    "cmpxchg16b", "bts", "btr", "btc", "shl", "shr", "sar", "rol", "ror", "rcl", "rcr", "shld", "shrd",
}  # fmt: skip
STACK = {"push": 1, "pop": 1, "pushfq": 1, "popfq": 1, "call": 1, "ret": 1, "leave": 1, "iretq": 5}


class TraceError(Exception):
    """The trace is not what it should be; the text says why."""


@dataclasses.dataclass
class Path:
    """The instructions of one exit: all, those of the costly kinds, and by function in the order of execution."""

    instructions: int
    kinds: dict
    functions: dict


class Symbols:
    """The functions of an ELF file. What a compiler or an assembler split off a function counts as the function."""

    def __init__(self, elf):
        lines = subprocess.run(["nm", "-n", elf], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        text = [(int(address, 16), name) for address, kind, name in map(str.split, lines) if kind in "tT"]
        if not text:
            raise TraceError(f"{elf} has no symbols.")
        self.addresses = [address for address, _ in text]
        self.names = [name.split(".")[0] for _, name in text]
        self.end = next((int(line.split()[0], 16) for line in lines if line.split()[1] in "rRdDbB"), self.addresses[-1])

    def function(self, physical, linear):
        """The host runs with all memory mapped to itself, and a guest's memory lies elsewhere."""
        if physical != linear or not self.addresses[0] <= linear < self.end:
            return "(guest)"
        return self.names[bisect.bisect_right(self.addresses, linear) - 1]


def read_pieces(text):
    """The traced pieces, each a list of (physical address, linear address, instruction); empty if it was interrupted."""
    pieces, piece, disturbed = [], None, False
    for line in text.splitlines():
        if line.startswith("Tracing enabled"):
            piece, disturbed = [], False
        elif line.startswith("Tracing disabled") and piece is not None:
            if not piece or piece[-1][2] != MAGIC:
                raise TraceError("a traced piece does not end at a magic breakpoint.")
            pieces.append([] if disturbed else piece[:-1])
            piece = None
        elif piece is not None:
            match = INSTRUCTION.fullmatch(line)
            if match:
                piece.append((int(match[1], 16), int(match[2], 16), match[3]))
            elif DISTURBED.fullmatch(line):
                disturbed = True
            elif not STOP.fullmatch(line):
                raise TraceError(f'the trace has a line of an unknown form: "{line}".')
    return pieces


def timed_part(piece):
    """What lies between the two RDTSC that are furthest from each other, and the LFENCE beside each of them."""
    at = [i for i, (_, _, text) in enumerate(piece) if text.startswith("rdtsc")]
    if len(at) < 2:
        raise TraceError("a piece that the host should take the time of has no two RDTSC.")
    first, last = max(zip(at, at[1:]), key=lambda pair: pair[1] - pair[0])
    if piece[first + 1][2] != "lfence" or piece[last - 1][2] != "lfence":
        raise TraceError("the host takes the time without LFENCE.")
    return piece[first + 2 : last - 1]


def is_locked(text):
    return text.startswith("lock ") or (text.startswith("xchg ") and "[" in text)


def memory_accesses(text):
    words = text.split(None, 2 if text.split()[0] in PREFIXES else 1)
    if words[0] in PREFIXES:
        words = words[1:]
    mnemonic, operands = words[0], "".join(words[1:])
    accesses = STACK.get(mnemonic, 0)
    # An address without a register has no brackets: `qword ptr gs:0x1234`.
    if not ("[" in operands or " ptr " in operands) or mnemonic in NO_ACCESS:
        return accesses
    if TWO_OPERANDS.fullmatch(mnemonic):
        return 2
    # The only memory operand of an exchange may come second.
    return accesses + (2 if mnemonic in CHANGES and (" ptr " in operands.split(",")[0] or mnemonic == "xchg") else 1)


def count(piece, symbols):
    kinds = dict.fromkeys([*KINDS, LOCKED, MEMORY], 0)
    functions = collections.Counter()
    for physical, linear, text in piece:
        functions[symbols.function(physical, linear)] += 1
        mnemonic = text.split()[0]
        kinds[LOCKED] += is_locked(text)
        kinds[MEMORY] += memory_accesses(text)
        for kind, mnemonics in KINDS.items():
            kinds[kind] += mnemonic in mnemonics
    return Path(len(piece), kinds, dict(functions))


def warm_path(name, pieces, symbols, steady):
    """The Path of the last piece that is like the one before it: with `steady`, the last one of all has to be."""
    counts = [count(piece, symbols) for piece in pieces]
    pairs = list(zip(counts, counts[1:]))
    for before, last in reversed(pairs[-1:] if steady else pairs):
        if before == last:
            return last
    raise TraceError(f"{name} is not warm: its last two pieces differ, or it was interrupted.")


def read_paths(trace, console, symbols, steady=True):
    """The warmest piece for each name that the console shows. Raises TraceError unless there are two alike."""
    pieces = read_pieces(trace)
    names = NAME_LINE.findall(console)
    each = len(pieces) // len(names) if names else 0
    if each < 2 or len(pieces) != len(names) * each:
        raise TraceError(f"the trace has {len(pieces)} pieces for {len(names)} names.")
    paths = {}
    for i, (name, timed) in enumerate(names):
        whole = [piece for piece in pieces[i * each : (i + 1) * each] if piece]
        paths[name] = warm_path(name, [timed_part(piece) if timed else piece for piece in whole], symbols, steady)
    return paths
