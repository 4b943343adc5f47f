# SPDX-License-Identifier: MIT
"""Runs commands that a document shows, as somebody would who reads it."""

import os
import re
import subprocess
import time

import machine

# A block of commands, or of anything else: lines that are indented, and empty ones between them.
BLOCK = re.compile(r"(?:^    .*\n(?:\n+(?=    ))?)+", re.MULTILINE)
# What a user's shell has; what `make test` was told is not for them.
KEPT = re.compile(r"PATH|HOME|TMPDIR|LANG|CC|EXTRA_CFLAGS|CCACHE_\w+")


class DocumentError(Exception):
    """The document has no such commands; the text says so."""


def blocks(text):
    """The blocks of a document, without their indentation."""
    return [re.sub("^    ", "", block, flags=re.MULTILINE) for block in BLOCK.findall(text)]


def commands(path, pattern):
    """What the pattern matches of a block of the document. Raises DocumentError."""
    with open(path, encoding="utf-8") as file:
        found = [match[0] for match in (re.search(pattern, block) for block in blocks(file.read())) if match]
    if len(found) != 1:
        raise DocumentError(f'{path} has {len(found)} blocks of commands that match "{pattern}"')
    return found[0]


def link_sources(folder, build):
    """What is in the repository's root is in the folder, and what the commands write there is nowhere else."""
    for name in os.listdir("."):
        if not name.startswith(".") and not os.path.lexists(f"{folder}/{name}"):
            os.symlink(os.path.abspath(name), f"{folder}/{name}")
    if not os.path.lexists(folder + "/build"):
        os.symlink(os.path.abspath(build), folder + "/build")


def run(script, folder, build, seconds):
    """A result as machine.run() has it: the console is what the commands print."""
    tree = folder + "/tree"
    os.makedirs(tree)
    link_sources(tree, build)
    with open(folder + "/commands.sh", "w", encoding="utf-8") as file:
        file.write(script)
    environment = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    began = time.monotonic()
    done = subprocess.run(
        ["timeout", str(seconds), "sh", "-e", "../commands.sh"],
        cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    console = done.stdout.decode("ascii", "backslashreplace").replace("\r", "")
    with open(folder + "/console.txt", "w", encoding="ascii") as file:
        file.write(console)
    result = machine.Result(done.returncode, "", console, time.monotonic() - began)
    result.reason = result.last_line()
    return result
