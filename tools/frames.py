# SPDX-License-Identifier: MIT
"""The screen of a Bochs in a mode of pixels: its SDL window, which is drawn for nobody, leaves each frame as a file."""

import contextlib
import glob
import os
import struct
import threading
import time

import screen

# SDL_VIDEODRIVER=dummy writes them to its folder then.
ENVIRONMENT = {"SDL_VIDEO_DUMMY_SAVE_FRAMES": "1"}
SECONDS = 60.0
# Bochs draws a bar of buttons above the screen and one of states below it.
ABOVE, BELOW = 32, 18


def frames(folder):
    return sorted(glob.glob(glob.escape(folder) + "/SDL_window*.bmp"))


def remove(paths):
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # by who was faster
            os.remove(path)


def keep_last(folder, process):
    """Removes all but the last frames of a Bochs for as long as it runs: there are some in each second."""

    def follow():
        while process.poll() is None:
            remove(frames(folder)[:-2])
            time.sleep(0.2)

    threading.Thread(target=follow, daemon=True).start()


def remove_all(folder):
    remove(frames(folder))


def read_frame(path):
    """(width, height, pixels of three bytes) of the machine's screen, without Bochs' own bars."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 30:
        raise screen.ScreenError(f"{path} is not written yet")
    at, (width, height), bits = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<ii", data, 18), data[28]
    line = (3 * width + 3) // 4 * 4
    if data[:2] != b"BM" or bits != 24 or height < ABOVE + BELOW or len(data) < at + line * height:
        raise screen.ScreenError(f"{path} is no picture of 24 bits a pixel, or not whole yet")
    # From the last line to the first.
    lines = [data[at + line * y : at + line * y + 3 * width] for y in range(height - ABOVE - 1, BELOW - 1, -1)]
    return width, height - ABOVE - BELOW, b"".join(lines)


def read_text(folder):
    """The rows of text of the last frame that is whole."""
    newest = frames(folder)[-2:-1]
    if not newest:
        raise screen.ScreenError("Bochs has not drawn its screen yet")
    try:
        return screen.read_framebuffer(*read_frame(newest[0]))[0]
    except FileNotFoundError:  # removed meanwhile: it was not the last one any more
        raise screen.ScreenError(f"{newest[0]} is gone") from None


def wait_for(folder, pattern, seconds=SECONDS):
    """The rows of text once one matches."""
    return screen.wait_for(lambda: (None, read_text(folder)), pattern, seconds)[1]
