# SPDX-License-Identifier: MIT
"""Who types on a machine's serial line: a socket that the emulator connects to, whose text goes into a file like any console's."""

import os
import re
import socket
import threading
import time

import screen

# A UART keeps 16 bytes, and is looked at only every now and then: so many at once, and the echo is waited for.
AT_ONCE = 8
# A key is four bytes with its Shift, and the keyboard's controller keeps 16, too.
AT_ONCE_ON_KEYBOARD = 4
ECHO_SECONDS = 20.0
DRAIN_SECONDS, ACCEPT_SECONDS = 20.0, 1.0
ON_SCREEN, ON_KEYBOARD = "@screen ", "@keyboard "


class TypistError(Exception):
    """What was waited for did not come; the text says what."""


def read_dialogue(text):
    """[(pattern, keys)] of lines `PATTERN => KEYS`. ^A in front of keys is Ctrl-A, ^[ is Escape, else a return follows them. With
    `@screen PATTERN` for keys nothing is typed, but waited until a row of the screen matches; `@keyboard KEYS` are typed on
    the machine's keyboard."""
    dialogue = []
    for line in text.strip().splitlines():
        pattern, arrow, keys = line.partition(" => ")
        if not arrow:
            raise TypistError(f'"{line}" is no PATTERN => KEYS')
        where = next((word for word in (ON_SCREEN, ON_KEYBOARD) if keys.startswith(word)), "")
        keys = keys[len(where) :]
        if where != ON_SCREEN:
            keys = keys.replace("^A", "\x01").replace("^[", "\x1b") if keys.startswith("^") else keys + "\r"
        dialogue.append((re.compile(pattern.strip(), re.MULTILINE), where, keys))
    return dialogue


class Typist:
    """Listens on `address` from the start. What comes from the file descriptor `keys` is typed, too; -1: none does."""

    def __init__(self, path, dialogue=(), keys=-1, look=None, press=None):
        self.path = path
        self.look = look  # look(pattern): waits for the screen
        self.press = press  # press(keys): types them on the machine's keyboard
        self.dialogue = list(dialogue)
        self.keys = keys
        self.text = ""
        self.arrived = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.line = None
        self.ended = False
        self.complaint = ""

    def start(self):
        threading.Thread(target=self.receive, daemon=True).start()
        if self.dialogue:
            threading.Thread(target=self.talk, daemon=True).start()
        if self.keys >= 0:
            threading.Thread(target=self.pass_on, daemon=True).start()

    def close(self):
        with self.arrived:
            self.ended = True
            self.arrived.notify_all()
        self.listener.close()
        if self.line:
            self.line.close()

    def receive(self):
        """The emulator's text, into the file and to whoever waits."""
        try:
            self.line = self.listener.accept()[0]
            self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with open(self.path, "wb", buffering=0) as file:
                while data := self.line.recv(65536):
                    file.write(data)
                    with self.arrived:
                        self.text += data.decode("ascii", "replace").replace("\r", "")
                        self.arrived.notify_all()
        except OSError:
            pass  # closed: the run is over
        with self.arrived:
            self.ended = True
            self.arrived.notify_all()

    def drain(self):
        """Once the emulator has ended: waits until all that it has written is in the file."""
        with self.arrived:
            # One that could not start has never come to the socket.
            self.arrived.wait_for(lambda: self.ended, DRAIN_SECONDS if self.line else ACCEPT_SECONDS)

    def type(self, keys):
        """Without a wait for anything."""
        if self.line:
            self.line.sendall(keys)

    def pass_on(self):
        """What somebody types, no faster than it is read."""
        while keys := os.read(self.keys, AT_ONCE):
            self.type(keys)
            time.sleep(0.05)

    def wait(self, found, seconds=None):
        """Whether found(text) came true before the end, or in so many seconds."""
        with self.arrived:
            return self.arrived.wait_for(lambda: found(self.text) or self.ended, seconds) and found(self.text)

    def talk(self):
        """The dialogue: each line is typed once its pattern has come, behind what the one before matched."""
        at = 0
        for pattern, where, keys in self.dialogue:
            if not self.wait(lambda text: pattern.search(text, at)):
                self.complaint = f'"{pattern.pattern}" was waited for in vain'
                return
            at = pattern.search(self.text, at).end()
            try:
                self.do(where, keys)
            except (OSError, screen.ScreenError) as error:
                self.complaint = str(error)
            if self.complaint:
                return

    def do(self, where, keys):
        if where == ON_SCREEN:
            self.look(keys)
            return
        type_some = self.press if where == ON_KEYBOARD else lambda keys: self.type(keys.encode("ascii"))
        at_once = AT_ONCE_ON_KEYBOARD if where == ON_KEYBOARD else AT_ONCE
        for first in range(0, len(keys), at_once):
            self.type_echoed(keys[first : first + at_once], type_some)

    def type_echoed(self, keys, type_some):
        before = len(self.text)
        type_some(keys)
        # Ctrl-A and what follows, or Escape, has no echo of its own.
        echo = "" if keys[0] in "\x01\x1b" else keys.rstrip("\r")
        if not self.wait(lambda text: echo in text[before:], ECHO_SECONDS):
            self.complaint = f'"{echo}" was typed and not echoed'
        time.sleep(0.01)
