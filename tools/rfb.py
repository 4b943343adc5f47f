# SPDX-License-Identifier: MIT
"""The picture that Bochs shows, and its keyboard, by the RFB protocol (version 3.3, as VNC has it) on a port of this machine."""

import re
import socket
import struct
import time
import zlib

import screen

LISTENS = re.compile(r"listening for connections on port (\d+)")
SECONDS = 60.0
NO_AUTHENTICATION, UPDATE, RAW = 1, 0, 0
# Messages of ours: encodings, of which raw is the only one, and the whole screen whatever was sent before.
SET_ENCODINGS = struct.pack(">BxHi", 2, 1, RAW)
KEY_EVENT = 4
# What X11 names the keys that are no characters.
KEY_RETURN, KEY_SHIFT, KEY_CONTROL = 0xFF0D, 0xFFE1, 0xFFE3
SHIFTED = '~!@#$%^&*()_+{}|:"<>?'
# Between two keys: Bochs' keyboard sends them one after the other, and its controller keeps 16 bytes.
KEY_SECONDS = 0.02
BIOS = "/usr/share/bochs/VGABIOS-lgpl-latest"
# Of a VGA's text: what of the window it fills, and a letter's cell.
TEXT_WIDTH, TEXT_HEIGHT, CELL = 720, 400, 9
# Bochs draws a bar of buttons above the screen and one of states below it.
ABOVE, BELOW = 32, 18


def find_port(log):
    """Where a Bochs listens, as its log says."""
    with open(log, encoding="ascii", errors="replace") as file:
        match = LISTENS.search(file.read())
    if not match:
        raise screen.ScreenError(f"{log} does not say where Bochs shows its screen")
    return int(match[1])


def receive(line, size):
    data = b""
    while len(data) < size:
        more = line.recv(size - len(data))
        if not more:
            raise screen.ScreenError("Bochs ended while its screen was read")
        data += more
    return data


def greet(line):
    """(width, height) of what is shown; a pixel is a byte: two bits of blue, three of green, three of red."""
    line.sendall(receive(line, 12))  # its version is ours
    (security,) = struct.unpack(">I", receive(line, 4))
    if security != NO_AUTHENTICATION:
        raise screen.ScreenError(f"Bochs wants authentication of type {security}")
    line.sendall(b"\1")
    width, height, bits, name = struct.unpack(">HHB15xI", receive(line, 24))
    receive(line, name)
    if bits != 8:
        raise screen.ScreenError(f"Bochs shows pixels of {bits} bits")
    return width, height


def read_update(line, width, picture):
    """Puts the rectangles of one update into a picture."""
    kind, count = struct.unpack(">BxH", receive(line, 4))
    if kind != UPDATE:
        raise screen.ScreenError(f"Bochs sends a message of type {kind}")
    for _ in range(count):
        x, y, across, down, encoding = struct.unpack(">HHHHi", receive(line, 12))
        if encoding != RAW:
            raise screen.ScreenError(f"Bochs sends encoding {encoding}")
        pixels = receive(line, across * down)
        for row in range(down):
            at = (y + row) * width + x
            picture[at : at + across] = pixels[row * across : (row + 1) * across]


def take_picture(port):
    """(width, height, pixels of a byte) of the machine's screen, without Bochs' own bars."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as line:
        line.settimeout(SECONDS)
        width, height = greet(line)
        line.sendall(SET_ENCODINGS)
        line.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        picture = bytearray(width * height)
        read_update(line, width, picture)
    return width, height - ABOVE - BELOW, bytes(picture[width * ABOVE : width * (height - BELOW)])


def strokes(keys):
    """[(key, down)] of characters; those below 20h are what Control makes of a letter, but a return is a key."""
    made = []
    for char in keys:
        if char == "\r":
            key, held = KEY_RETURN, None
        elif char < " ":
            key, held = ord(char) + 0x60, KEY_CONTROL
        else:
            key, held = ord(char), KEY_SHIFT if char.isupper() or char in SHIFTED else None
        pressed = [(key, True), (key, False)]
        made += [(held, True), *pressed, (held, False)] if held else pressed
    return made


def press_keys(log, keys):
    """Types characters on the PS/2 keyboard of a Bochs, as whoever looks at its screen would."""
    with socket.create_connection(("127.0.0.1", find_port(log)), SECONDS) as line:
        line.settimeout(SECONDS)
        greet(line)
        for key, down in strokes(keys):
            line.sendall(struct.pack(">BBxxI", KEY_EVENT, down, key))
            time.sleep(KEY_SECONDS)


def read_text(picture):
    """The rows of text of a picture in a VGA's text mode."""
    width, height, pixels = picture
    if width != TEXT_WIDTH or height < TEXT_HEIGHT:
        raise screen.ScreenError(f"Bochs shows {width} by {height} pixels, which is no VGA text")
    pixels = b"".join(bytes((pixel,)) * 3 for pixel in pixels[: TEXT_WIDTH * TEXT_HEIGHT])
    return screen.read_text(TEXT_WIDTH, TEXT_HEIGHT, pixels, screen.vga_letters(BIOS), CELL)[0]


def wait_for(log, pattern, seconds=SECONDS):
    """(picture, rows of text) once a row matches; Bochs draws its screen only now and then."""

    def look():
        picture = take_picture(find_port(log))
        return picture, read_text(picture)

    return screen.wait_for(look, pattern, seconds)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, picture):
    """The text of a picture, black and grey, a bit for each pixel."""
    pixels = picture[2]
    lines = b""
    for y in range(TEXT_HEIGHT):
        row = pixels[y * TEXT_WIDTH : (y + 1) * TEXT_WIDTH]
        bits = "".join("1" if pixel else "0" for pixel in row)
        lines += b"\0" + int(bits, 2).to_bytes(TEXT_WIDTH // 8, "big")
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", TEXT_WIDTH, TEXT_HEIGHT, 1, 3, 0, 0, 0)))
        file.write(chunk(b"PLTE", bytes((0, 0, 0, 0xD0, 0xD0, 0xD0))))
        file.write(chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))
