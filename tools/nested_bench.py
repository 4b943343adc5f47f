# SPDX-License-Identifier: MIT
"""What an exit costs where Trapline is itself a guest of KVM, beside what it costs with the least of all handlers.

The guest `bench-nested` and an image that has such a handler (tests/bench) run on QEMU on the KVM of the Linux that Bochs
boots. Where the CPU model has VMCS shadowing Trapline's VMREADs and VMWRITEs do not leave it, and 5% is the bar.
"""

import os
import shutil

import iso
import machine
import qemu

GUEST = "bench-nested"
FIGURES = ("nested_bare_exit_ticks", "nested_mmio_read32_ticks", "nested_doorbell_ticks")
BARE, SERVED = FIGURES[0], FIGURES[1:]
MEMORY = 128  # MiB


class NestedBenchError(Exception):
    """There are no figures; the text says why."""


def boot(build, folder, timeout):
    """The console of a run."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    modules = [(file, words) for file, words in iso.read_modules() if words[:1] == [GUEST]]
    image = qemu.Kernel(
        build + "/bench-image/trapline32.elf", "guest=" + GUEST, qemu.link_modules(modules, build, folder + "/modules")
    )
    settings = machine.Settings(backend="kvm-in-bochs", machine="microvm", memory=MEMORY, timeout=timeout)
    result = machine.run(image, settings, folder)
    if result.status != machine.PASSED:
        last = [line for line in result.console.splitlines() if GUEST in line][-1:]
        raise NestedBenchError(
            "; ".join([f"the guest {GUEST} did not pass (logs in {folder}): {result.reason}", *last])
            + "; NESTED=0 leaves its figures out."
        )
    return result.console


def measure(build, folder, timeout, read_figures):
    """read_figures() takes a console apart."""
    figures = read_figures(boot(build, folder, timeout))
    for name in FIGURES:
        if name not in figures:
            raise NestedBenchError(f"{name} is missing.")
    return figures


def bars():
    """By figure: what Trapline may add to the bare exit."""

    def within(value, figures):
        return value <= 1.05 * figures[BARE]

    return {name: [(f"<= {BARE} + 5%", within)] for name in SERVED}
