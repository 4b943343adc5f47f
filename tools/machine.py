# SPDX-License-Identifier: MIT
"""Boots an ISO in an emulator or on KVM, follows its console, and says how the run ended."""

import dataclasses
import functools
import os
import re
import shlex
import subprocess
import time

import complaint
import frames
import kvm_vmx
import nested.linux
import qemu
import rfb
import screen
import typist

# Exit statuses of a run.
PASSED, FAILED, NOT_RUN = 0, 1, 2

BACKENDS = ("bochs", "kvm", "tcg", "kvm-in-bochs")
DEFAULT_MODEL = "corei7_haswell_4770"

RESULT_LINE = re.compile(r"trapline: (?:(\d+) guests? passed, (\d+) failed|selftest: (\d+) checks ok, (\d+) failed, \d+ not here)")
REFUSAL_LINE = re.compile(r"trapline: (cannot run|panic): .+")

# Two that start in the same moment may take the same port for the display, and the one that is late gives up.
BOCHS_DISPLAY_RACE = "RFB could not bind any port"
BOCHS_ATTEMPTS = 5

# At its error level Bochs logs a line for every EPT misconfiguration, which is what this project makes by the million:
# 50 MB a run, and most of its time. They are for the checks of a VM entry that failed.
# ips sets how fast emulated time passes beside the instructions: the BIOS waits three seconds of it for a missing disk.
# The TSC counts instructions whatever it is. Of a large memory Bochs holds what is touched. Its iodebug device would look at
# every access to memory.
BOCHSRC = """\
plugin_ctrl: speaker=0, iodebug=0
config_interface: textconfig
display_library: {display}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
memory: guest={memory}, host={host_memory}
cpu: model={model}, count={cpus}, quantum={quantum}, ips=20000000, reset_on_triple_fault=0
clock: sync=none, time0=1700000000
ata0-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom
{pci}com1: enabled=1, {line}
port_e9_hack: enabled={debugcon}
log: bochs.log
magic_break: enabled={magic_break}
panic: action=fatal
error: action={errors}
info: action=report
debug: action=ignore
"""


BOCHS_MOST_HOST_MEMORY = 1536  # MiB
LEAST_MEMORY = 8  # MiB


class CannotRun(Exception):
    """The machine cannot be started; the text says why and what to do."""


@dataclasses.dataclass
class Settings:
    """What to boot on. Memory in MiB, timeout in seconds of wall time; log: Bochs' errors go into its log."""

    backend: str = "bochs"
    model: str = DEFAULT_MODEL
    memory: int = 256
    cpus: int = 1
    timeout: float = 300.0
    log: bool = False
    machine: str = "q35"  # QEMU's
    medium: str = "cd"  # what QEMU is given an ISO as: cd, usb
    firmware: str = "bios"  # QEMU's: bios, uefi
    serial: str = "com1"  # QEMU's serial port: com1, pci, pci-beside-com1, none
    screen: bool = False  # QEMU gets a screen, and leaves a picture of it in the folder when the image has ended
    pci_vga: bool = False  # Bochs' VGA is a PCI card, which has modes with more than 256 colours
    qemu: str = ""  # more arguments of QEMU
    quantum: int = 16  # Bochs runs so many instructions of one CPU before it goes to the next
    debugcon: bool = False  # what the image writes to port E9h is kept: debugcon_file()
    keys: int = -1  # a file descriptor whose bytes are typed on the serial line
    typed: str = ""  # what is typed on the serial line and after what; see typist.read_dialogue()
    debugger: str = ""  # commands for Bochs' debugger; magic breakpoints (XCHG BX, BX) are on with them


@dataclasses.dataclass
class Result:
    """How a run ended: a status above, the reason in one line, and all that the console showed."""

    status: int
    reason: str
    console: str
    seconds: float

    def last_line(self):
        lines = self.console.strip().splitlines()
        return lines[-1].strip() if lines else ""


def choose_backend():
    return "bochs" if kvm_vmx.refusal() else "kvm"


def bochs_command(iso, settings, folder, typist_at):
    with open(folder + "/bochsrc", "w", encoding="utf-8") as file:
        host_memory = min(settings.memory, BOCHS_MOST_HOST_MEMORY)
        values = dataclasses.asdict(settings) | {
            "iso": os.path.abspath(iso),
            "host_memory": host_memory,
            # Bochs' own VNC has no screens of pixels of more than 8 bits; SDL draws them for nobody.
            "display": "sdl2" if settings.pci_vga else 'rfb, options="timeout=0"',
            "pci": "pci: enabled=1, chipset=i440fx, slot1=pcivga\n" if settings.pci_vga else "",
            "magic_break": int(bool(settings.debugger)),
            "errors": "report" if settings.log else "ignore",
            "debugcon": int(settings.debugcon),
            "line": f"mode=socket-client, dev={typist_at}" if typist_at else "mode=file, dev=serial.txt",
        }
        file.write(BOCHSRC.format(**values))
    # Debian's Bochs has its debugger built in and waits for a command: "c" makes it go on.
    with open(folder + "/commands", "w", encoding="ascii") as file:
        file.write(settings.debugger + "c\n")
    return ["bochs-bin", "-q", "-f", "bochsrc", "-rc", "commands"]


def nested_command(boot, settings, folder):
    """QEMU on the KVM of a Linux that Bochs runs: the same arguments as on this machine's KVM."""
    files = {}

    def place(path):
        name = "media/" + os.path.basename(path)
        files[name] = path
        return "/job/" + name

    script = shlex.join(["exec", nested.packages.QEMU, *qemu.arguments(boot, settings, place)])
    build = (os.environ.get("B") or "build") + "/nested"
    return nested.linux.command(build, nested.linux.Job(script + "\n", files, settings.memory), folder, settings.model)


def make_command(boot, settings, folder, typist_at):
    """What to start; the serial line leads to the socket `typist_at`, if there is one. Raises CannotRun."""
    if settings.backend not in BACKENDS:
        raise CannotRun(f"BACKEND={settings.backend} is unknown; use bochs, kvm or kvm-in-bochs.")
    if settings.memory < LEAST_MEMORY:
        raise CannotRun(f"MEM={settings.memory} is too little for a loader and the image; give {LEAST_MEMORY} MiB or more.")
    if settings.machine not in qemu.MACHINES:
        raise CannotRun(f"MACHINE={settings.machine} is unknown; use {' or '.join(qemu.MACHINES)}.")
    if settings.firmware not in qemu.FIRMWARE:
        raise CannotRun(f"FIRMWARE={settings.firmware} is unknown; use {' or '.join(qemu.FIRMWARE)}.")
    if settings.firmware == "uefi" and (settings.backend == "bochs" or settings.machine == "microvm"):
        raise CannotRun("Bochs and QEMU's microvm have no UEFI; use FIRMWARE=bios, or MACHINE=q35 on KVM.")
    if settings.firmware == "uefi" and isinstance(boot, qemu.Kernel):
        raise CannotRun("UEFI starts no Multiboot kernel by itself; use BOOT=iso.")
    if settings.backend == "kvm" and kvm_vmx.refusal():
        raise CannotRun(kvm_vmx.refusal() + "; use BACKEND=kvm-in-bochs, or BACKEND=bochs.")
    if settings.backend == "bochs":
        if isinstance(boot, qemu.Kernel):
            raise CannotRun("Bochs has no loader of its own for BOOT=kernel; use BOOT=iso.")
        return bochs_command(boot, settings, folder, typist_at)
    if settings.backend == "kvm-in-bochs":
        if typist_at:
            raise CannotRun("Nothing can be typed in kvm-in-bochs; use bochs or kvm, or a JOB= that ends by itself.")
        if settings.debugcon:
            raise CannotRun("TRACE= is not for kvm-in-bochs, whose QEMU writes no file to this machine; use bochs or kvm.")
        try:
            return nested_command(boot, settings, folder)
        except nested.linux.NestedError as error:
            raise CannotRun(str(error)) from None
        except OSError as error:
            raise CannotRun(f"{error.filename}: {error.strerror}; run make first.") from None
    return ["qemu-system-x86_64", *qemu.arguments(boot, settings, typist_at=typist_at)]


def start(boot, settings, folder, typist_at=""):
    """Starts the emulator in `folder`; its own messages go to emulator.txt there."""
    command = make_command(boot, settings, folder, typist_at)
    with open(folder + "/emulator.txt", "wb") as output:
        try:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {"SDL_VIDEODRIVER": "dummy"} | (frames.ENVIRONMENT if settings.typed else {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # SIGPIPE stays ignored: Bochs may be drawing for who looked at its screen and has gone.
                restore_signals=False,
            )
        except FileNotFoundError:
            raise CannotRun(f"{command[0]} is not installed; run tools/setup run test.") from None


def debugcon_file(settings, folder):
    """Where that is after a run. Bochs has it among its own messages."""
    return folder + ("/emulator.txt" if settings.backend == "bochs" else "/debugcon.bin")


def stop(process):
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def has_last_line(text):
    """Whether a console has come to the line with which the image ends."""
    lines = text.decode("ascii", "replace").splitlines()
    return text.endswith(b"\n") and bool(lines) and bool(RESULT_LINE.match(lines[-1]) or REFUSAL_LINE.match(lines[-1]))


def follow(process, path, timeout, show, at_end=None, who=None):
    """Passes the growing file `path` on to show() until the process ends. Returns (its text, whether it ended).

    at_end() is called once when the image has printed its last line. `who`: the typist that writes the file."""
    deadline = time.monotonic() + timeout
    text = b""
    while True:
        # Asked before reading, so that what was written last is not missed.
        ended = process.poll() is not None
        if ended and who:
            who.drain()
        if os.path.exists(path):
            with open(path, "rb") as file:
                file.seek(len(text))
                fresh = file.read()
            text += fresh
            if fresh and show:
                show(fresh)
            if at_end and has_last_line(text):
                at_end()
                at_end = None
        if ended or time.monotonic() > deadline:
            return text.decode("ascii", "backslashreplace").replace("\r", ""), ended
        time.sleep(0.03)


def leave_picture(folder):
    """Ends a QEMU that has a screen, whose picture stays in its folder."""
    monitor = screen.Monitor(f"{folder}/{qemu.MONITOR}")
    monitor.take_picture(qemu.PICTURE)
    monitor.quit()


def follow_screen(process, folder, timeout):
    """follow() where the screen is all that there is to look at: the console's text is what it shows in the end."""
    deadline = time.monotonic() + timeout
    monitor, rows = None, []
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.5)
        if not monitor and os.path.exists(f"{folder}/{qemu.MONITOR}"):
            monitor = screen.Monitor(f"{folder}/{qemu.MONITOR}")
        if monitor:
            monitor.take_picture(qemu.PICTURE)
            rows = screen.read_picture(f"{folder}/{qemu.PICTURE}")[0]
        if has_last_line("\n".join([*rows, ""]).encode()):
            monitor.quit()
            process.wait(timeout)
    return "\n".join([*rows, ""]), process.poll() is not None


def judge(console, wrong):
    """(status, reason) of a run that ended by itself."""
    lines = [line.strip() for line in console.strip().splitlines()]
    last = lines[-1] if lines else ""
    match = RESULT_LINE.fullmatch(last)
    if match and not wrong:
        passed, failed = (int(number) for number in match.groups() if number)
        if failed:
            return FAILED, last
        return (PASSED, last) if passed else (NOT_RUN, "trapline: cannot run: no guest was run")
    if REFUSAL_LINE.fullmatch(last) and not wrong:
        return NOT_RUN, last
    for line in reversed(lines):
        if REFUSAL_LINE.fullmatch(line):
            return NOT_RUN, line
    what = wrong or "the machine ended"
    return NOT_RUN, f"trapline: cannot run: {what}; " + (f'the console ends with "{last}"' if last else "no console")


def run(boot, settings, folder, show=None):
    """Boots `boot` (an ISO, or a qemu.Kernel) to its end. Logs are left in `folder`. show() gets the console's bytes."""
    for _ in range(BOCHS_ATTEMPTS):
        result = run_once(boot, settings, folder, show)
        if BOCHS_DISPLAY_RACE not in result.reason:
            break
    return result


def look_at_screen(folder, pixels, pattern):
    """Waits until a row of Bochs' screen matches, and leaves its rows in the folder, and of a VGA's text the picture."""
    if pixels:
        rows = frames.wait_for(folder, pattern)
    else:
        picture, rows = rfb.wait_for(folder + "/bochs.log", pattern)
        rfb.write_png(folder + "/screen.png", picture)
    with open(folder + "/screen.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")


def run_once(boot, settings, folder, show):
    os.makedirs(folder, exist_ok=True)
    began = time.monotonic()
    who = None
    try:
        if settings.typed or settings.keys >= 0:
            dialogue = typist.read_dialogue(settings.typed)
            look = functools.partial(look_at_screen, folder, settings.pci_vga)
            press = functools.partial(rfb.press_keys, folder + "/bochs.log")
            who = typist.Typist(folder + "/serial.txt", dialogue, settings.keys, look, press)
            who.start()
        process = start(boot, settings, folder, who.address if who else "")
        if settings.typed and settings.pci_vga:
            frames.keep_last(folder, process)
    except (CannotRun, typist.TypistError) as error:
        return Result(NOT_RUN, f"trapline: cannot run: {error}", "", 0.0)
    try:
        if settings.serial == "none":
            console, ended = follow_screen(process, folder, settings.timeout)
        else:
            picture = (lambda: leave_picture(folder)) if settings.screen else None
            console, ended = follow(process, folder + "/serial.txt", settings.timeout, show, picture, who)
    finally:
        if process.poll() is None:
            stop(process)
        if who:
            who.close()
        frames.remove_all(folder)
    seconds = time.monotonic() - began
    if os.path.exists(folder + "/payload.img"):
        os.remove(folder + "/payload.img")  # what Linux is booted from: 110 MiB a run
    if ended:
        status, reason = judge(console, complaint.of_emulator(settings, folder, process.returncode))
    else:
        status = NOT_RUN
        reason = f"trapline: cannot run: no end after {settings.timeout:g} s; TIMEOUT= sets another limit"
    if who and who.complaint:
        status, reason = NOT_RUN, f"trapline: cannot run: {who.complaint}"
    return Result(status, reason, console, seconds)
