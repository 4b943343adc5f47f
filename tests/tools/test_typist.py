# SPDX-License-Identifier: MIT
"""What an emulator writes on its serial line before it ends is in the console's file when the run is judged."""

import os
import subprocess
import sys
import tempfile
import time
import unittest

import machine
import typist

LINES = 100000
EMULATOR = f"""
import socket, sys
host, port = sys.argv[1].split(":")
line = socket.create_connection((host, int(port)))
line.sendall(b"a line\\r\\n" * {LINES} + b"trapline: the last one\\r\\n")
"""


class SlowTypist(typist.Typist):
    """Somebody else has the processor when the emulator ends."""

    def receive(self):
        time.sleep(0.5)
        super().receive()


class Drain(unittest.TestCase):
    def follow(self, who, path):
        who.start()
        with subprocess.Popen([sys.executable, "-c", EMULATOR, who.address]) as process:
            text, ended = machine.follow(process, path, 30, None, None, who)
        who.close()
        self.assertTrue(ended)
        return text.splitlines()

    def test_the_last_line_is_there(self):
        for kind in typist.Typist, SlowTypist:
            with self.subTest(kind.__name__), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "serial.txt")
                lines = self.follow(kind(path), path)
                self.assertEqual(lines[-1], "trapline: the last one")
                self.assertEqual(len(lines), LINES + 1)


if __name__ == "__main__":
    unittest.main()
