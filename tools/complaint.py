# SPDX-License-Identifier: MIT
"""Why an emulator ended, in one sentence, by what it says itself; "" if the image asked it to."""

import re

import nested.linux

# The image asks Bochs to end by writing to its shutdown port, which Bochs logs as a panic.
BOCHS_SHUTDOWN = "Shutdown port: shutdown requested"
BOCHS_PANIC = re.compile(r"p\[(\w+) *\] >>PANIC<< (.*)")
BOCHS_LAST_WORDS = re.compile(r"exiting with the following message:\n\[.*?\] (.*)")
BOCHS_TRIPLE_FAULT = "3rd (13) exception with no resolution"

# The image ends QEMU through isa-debug-exit (boot/halt.c), which makes 2 * (16 + status) + 1 of its own status.
QEMU_IMAGE_ENDED = tuple(2 * (16 + status) + 1 for status in (0, 1, 2))


def log_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def of_qemu(code, said):
    """Of QEMU's exit status and its last message, which may be a mere warning."""
    if code in QEMU_IMAGE_ENDED:
        return ""
    # -no-reboot makes a reset end QEMU.
    if code == 0:
        return "QEMU ended by a reset of the machine, most likely a triple fault"
    return f"QEMU ended with status {code}" + (f" ({said})" if said else "")


def of_bochs(settings, folder, code):
    panics = BOCHS_PANIC.findall(log_text(folder + "/bochs.log"))
    if not panics:
        message = BOCHS_LAST_WORDS.search(log_text(folder + "/emulator.txt"))
        what = message[1] if message else f"exit status {code}"
        if "cpu directive malformed" in what:
            what = f"it has no CPU model {settings.model}, or not {settings.cpus} CPUs of it (`bochs-bin --help cpu` lists them)"
        return "Bochs did not start: " + what
    device, message = panics[-1]
    if message == BOCHS_SHUTDOWN:
        return ""
    if BOCHS_TRIPLE_FAULT in message:
        return "triple fault"
    return f"Bochs stopped at [{device}] {message}"


def of_emulator(settings, folder, code):
    """Why the emulator ended without a result of the image, in one sentence; "" if it was asked to end."""
    if settings.backend == "bochs":
        return of_bochs(settings, folder, code)
    if settings.backend == "kvm-in-bochs":
        status, said = nested.linux.job_status(folder)
        if status is None:
            return f"Linux in Bochs did not come to QEMU's end ({of_bochs(settings, folder, code)}): {said}"
        return of_qemu(status, said)
    if settings.screen and code == 0:
        return ""  # it was told to end once its picture was taken
    messages = log_text(folder + "/emulator.txt").strip().splitlines()
    return of_qemu(code, messages[-1] if messages else "")
