# SPDX-License-Identifier: MIT
"""What the commands that run the image share: variables of the environment, a folder for the logs, the console shown live."""

import os
import shutil
import sys
import time

import machine

KEPT_RUNS = 20


def variable(name, default, convert=str):
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = convert(text)
    except ValueError:
        value = None
    if value is None or (convert is not str and value <= 0):
        raise machine.CannotRun(f'{name}="{text}" is not a positive number.')
    return value


def make_folder(runs):
    """A new folder for the logs; the oldest ones go."""
    os.makedirs(runs, exist_ok=True)
    old = sorted(entry.path for entry in os.scandir(runs) if entry.is_dir())
    for path in old[: max(0, len(old) - KEPT_RUNS + 1)]:
        shutil.rmtree(path, ignore_errors=True)
    folder = os.path.join(runs, time.strftime("%Y%m%d-%H%M%S-") + str(os.getpid()))
    os.makedirs(folder)
    return folder


def show(chunk):
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
