# SPDX-License-Identifier: MIT
"""What a machine's screen shows: QEMU's picture of it, read back as text by the shapes of the letters."""

import json
import re
import socket
import time

import font

VGA_BIOS = "/usr/share/seabios/vgabios-stdvga.bin"
# The letters of a VGA's text begin with an empty one and a smiling face.
VGA_FIRST = bytes(16) + bytes.fromhex("00007e81a58181bd9981817e00000000")
VGA_CURSOR = bytes(13) + b"\xff\xff\0"
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class ScreenError(Exception):
    """The picture cannot be had or read; the text says why."""


class Monitor:
    """The QMP socket of a running QEMU."""

    def __init__(self, path, seconds=10.0):
        self.seconds = seconds
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        try:
            self.socket.connect(path)
        except OSError as error:
            raise ScreenError(f"QEMU cannot be asked for its screen: {error}") from None
        self.stream = self.socket.makefile("rw", encoding="utf-8")
        self.stream.readline()  # the greeting
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        deadline = time.monotonic() + self.seconds
        self.stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.stream.flush()
        answer = {}
        while not {"return", "error"} & set(answer):  # events come between
            if time.monotonic() > deadline:
                raise ScreenError("QEMU does not answer")
            answer = json.loads(self.stream.readline() or '{"error": {"desc": "QEMU has ended"}}')
        if "error" in answer:
            raise ScreenError(f"QEMU refuses {name}: {answer['error']['desc']}")

    def take_picture(self, name):
        """The screen as a file in PPM, whose name QEMU is given."""
        self.command("screendump", filename=name)

    def quit(self):
        self.command("quit")
        self.stream.close()
        self.socket.close()


def read_ppm(path):
    """(width, height, pixels), three bytes each."""
    with open(path, "rb") as file:
        data = file.read()
    magic, width, height, most, pixels = data.split(maxsplit=4) if data.count(b"\n") > 2 else [b""] * 5
    # The pixels begin behind exactly one white space.
    pixels = data[len(data) - 3 * int(width) * int(height) :] if magic == b"P6" and most == b"255" else b""
    if not pixels:
        raise ScreenError(f"{path} is no picture in the form that QEMU writes")
    return int(width), int(height), pixels


def framebuffer_letters():
    """The letters of boot/framebuffer.c: their rows, and the character of each."""
    glyphs = font.read_font()
    letters = {tuple(glyph): chr(font.FIRST + i) for i, glyph in enumerate(glyphs)}
    letters[tuple(glyphs[-1])] = "\N{WHITE SQUARE}"
    return letters


def vga_letters(path=VGA_BIOS):
    """Those of QEMU's VGA, which its BIOS brings."""
    with open(path, "rb") as file:
        rom = file.read()
    at = rom.find(VGA_FIRST)
    if at < 0:
        raise ScreenError(f"{path} has no letters of 8 by 16 pixels")
    letters = {tuple(rom[at + 16 * code : at + 16 * code + 16]): chr(code) for code in range(127, 31, -1)}
    letters[tuple(VGA_CURSOR)] = " "
    return letters


def read_text(width, height, pixels, letters, cell, scale=1):
    """The rows of text of a picture, without the blanks at their ends. `cell` is the width of a letter with its gap.

    Every pixel has to be of one of two colours, the first pixel of all lines of text being of the background's."""
    paper = pixels[-3:]
    columns, rows = width // (cell * scale), height // (16 * scale)
    inks = set()
    lines = []
    for row in range(rows):
        line = ""
        for column in range(columns):
            shape = []
            for y in range(16):
                bits = 0
                for x in range(8):
                    at = 3 * ((row * 16 + y) * scale * width + (column * cell + x) * scale)
                    pixel = pixels[at : at + 3]
                    bits = bits << 1 | (pixel != paper)
                    if pixel != paper:
                        inks.add(pixel)
                shape.append(bits)
            line += letters.get(tuple(shape), UNREADABLE)
        lines.append(line.rstrip())
    if len(inks) > 1:
        raise ScreenError(f"the letters have {len(inks)} colours")
    while lines and not lines[-1]:
        lines.pop()
    return lines, columns


def read_picture(path):
    """(rows of text, columns and rows of the screen, rows by which it scrolls) of a picture of Trapline's console: a VGA's
    text or a framebuffer."""
    width, height, pixels = read_ppm(path)
    if (width, height) in ((720, 400), (640, 400)):
        rows, columns = read_text(width, height, pixels, vga_letters(), width // 80)
        return rows, columns, 25, 1
    return read_framebuffer(width, height, pixels)


def read_framebuffer(width, height, pixels):
    """The same of the pixels of a framebuffer."""
    # As boot/framebuffer.c chooses it.
    scale = max(1, min(width // 960, height // 480))
    rows, columns = read_text(width, height, pixels, framebuffer_letters(), 8, scale)
    high = height // (16 * scale)
    return rows, columns, high, high // 8


def wait_for(look, pattern, seconds):
    """What look() gives, (a picture, its rows of text), once a row matches."""
    deadline = time.monotonic() + seconds
    seen = "nothing"
    while time.monotonic() < deadline:
        try:
            picture, rows = look()
        except ScreenError as error:  # of a loader with colours, or between two modes
            seen = str(error)
        else:
            if any(re.search(pattern, row) for row in rows):
                return picture, rows
            seen = str(rows)
        time.sleep(0.2)
    raise ScreenError(f'no row of the screen matches "{pattern}"; what was read: {seen}')


def visible(text, columns, high, step):
    """The rows of a text, which ends with a line's end, that a screen still shows: it scrolls by `step` rows."""
    rows = []
    for line in text.splitlines():
        rows += [line[i : i + columns].rstrip() for i in range(0, max(1, len(line)), columns)]
    first = 0
    while len(rows) + 1 - first > high:
        first += step
    return rows[first:]
