# SPDX-License-Identifier: MIT
"""What is counted in a trace of instructions."""

import unittest

import bochs_trace

ACCESSES = {
    "mov rax, rbx": 0,
    "mov rax, qword ptr ds:[rdi+8]": 1,
    "mov qword ptr ds:[rdi+8], rax": 1,
    "cmp byte ptr ds:[rdi+60], 0x00": 1,
    "add rax, qword ptr ds:[rdi]": 1,
    "add qword ptr ds:[rdi+296], 0x01": 2,
    "lock cmpxchg qword ptr ds:[rdi], rcx": 2,
    "lock xadd dword ptr ds:[rdi], eax": 2,
    "xchg rax, qword ptr ds:[rdi]": 2,
    "xchg bx, bx": 0,
    "mov rax, qword ptr gs:0x00000000000321c0": 1,
    "inc dword ptr gs:0x00000000000321c0": 2,
    "lea rax, ds:[rdi+8]": 0,
    "push rbx": 1,
    "push qword ptr ds:[rax]": 2,
    "pop qword ptr ds:[rdi+56]": 2,
    "call .+963  (0x0000000000100000)": 1,
    "call qword ptr ds:[rax]": 2,
    "ret ": 1,
    "rep movsq qword ptr es:[rdi], qword ptr ds:[rsi]": 2,
    "rep stosq qword ptr es:[rdi], rax": 1,
    "vmread rax, rcx": 0,
    "vmresume ": 0,
}

LINE = "(0).[{n}] [0x{at:012x}] 0008:{at:016x} (unk. ctxt): {text} ; 90\n"


def piece(*instructions):
    lines = [LINE.format(n=n, at=0x1000 + n, text=text) for n, text in enumerate([*instructions, "xchg bx, bx"])]
    return "Tracing enabled for CPU 0\n" + "".join(lines) + "Tracing disabled for CPU 0\n"


class OneFunction:
    def function(self, *_):
        return "f"


class Trace(unittest.TestCase):
    def test_accesses_to_memory(self):
        for text, accesses in ACCESSES.items():
            self.assertEqual(bochs_trace.memory_accesses(text), accesses, text)

    def test_costly_instructions_of_a_path(self):
        text = piece("vmread rax, rcx", "lock add qword ptr ds:[rdi], 0x01", "rdmsr", "vmwrite rcx, rax", "ret ")
        paths = bochs_trace.read_paths(text * 2, "trace: path\n", OneFunction())
        self.assertEqual(paths["path"].instructions, 5)
        self.assertEqual(
            {kind: number for kind, number in paths["path"].kinds.items() if number},
            {"vmcs_reads": 1, "vmcs_writes": 1, "msr_accesses": 1, "locked_ops": 1, "memory_accesses": 3},
        )

    def test_last_pieces_must_agree(self):
        with self.assertRaisesRegex(bochs_trace.TraceError, "path is not warm"):
            bochs_trace.read_paths(piece("nop ") + piece("nop ", "nop "), "trace: path\n", OneFunction())


if __name__ == "__main__":
    unittest.main()
