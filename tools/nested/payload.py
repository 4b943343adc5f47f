# SPDX-License-Identifier: MIT
"""What Bochs loads: the unpacked kernel and the initramfs in one image, and the ROM that starts the kernel.

The layout of a kernel file and of struct boot_params is that of Linux' Documentation/arch/x86/boot.rst and zero-page.rst.
"""

import lzma
import os
import shutil
import struct
import zlib

from nested import packages

MIB = 1 << 20
PAGE = 4096
LARGE_PAGE = 2 * MIB
LOADED_AT = 16 * MIB  # where Debian's kernel wants to lie
BOCHS_BLOCK = 128 << 10
PARAMS_LINE_AT = 0x21000  # LINE_AT of rom.asm
LINE_MAX = 2047

# Offsets into a kernel file and struct boot_params.
E820_COUNT, SETUP_SECTORS, HEADER, HEADER_JUMP, MAGIC = 0x1E8, 0x1F1, 0x1F1, 0x201, 0x202
LOADER, INITRD, LINE, PACKED, INIT_SIZE, E820 = 0x210, 0x218, 0x228, 0x248, 0x260, 0x2D0
E820_RAM, E820_RESERVED = 1, 2
LOADER_UNKNOWN = 0xFF

ELF_HEADER = struct.Struct("<24xQQQ6xHHHHH")  # entry, program and section headers: places, sizes and counts
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
PT_LOAD = 1


def decompress(packed):
    """The kernel's ELF file. Its length, in 4 bytes, follows the compressed one."""
    packed = packed[:-4]
    if packed.startswith(b"\x02\x21\x4c\x18"):
        return packages.tool("lz4", "-dc", input=packed)
    if packed.startswith(b"\x28\xb5\x2f\xfd"):
        return packages.tool("zstd", "-dc", input=packed)
    if packed.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(packed)
    if packed.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=31).decompress(packed)
    raise packages.NestedError(f"the kernel is compressed in an unknown way; it begins with {packed[:6].hex()}.")


def section_at(elf, name):
    """(place in the file, size) of a section, or None."""
    _, _, at, _, _, size, count, names = ELF_HEADER.unpack_from(elf)
    headers = [SECTION_HEADER.unpack_from(elf, at + size * number) for number in range(count)]
    for word, _, _, _, place, length, *_ in headers:
        start = headers[names][4] + word
        if elf[start : start + len(name) + 1] == name + b"\0":
            return place, length
    return None


class Kernel:
    """Debian's kernel, as it lies in memory."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.file = file.read()
        if self.file[MAGIC : MAGIC + 4] != b"HdrS":
            raise packages.NestedError(f"{path} is no Linux kernel.")
        place, length = struct.unpack_from("<II", self.file, PACKED)
        place += (self.file[SETUP_SECTORS] + 1) * 512
        elf = bytearray(decompress(self.file[place : place + length]))
        # The kernel checks its own type information (BTF) at boot, for a tenth of the time, unless it looks like none.
        btf = section_at(elf, b".BTF")
        if btf:
            elf[btf[0] : btf[0] + 4] = bytes(4)
        self.entry, programs, _, size, count, *_ = ELF_HEADER.unpack_from(elf)
        segments = [PROGRAM_HEADER.unpack_from(elf, programs + size * number) for number in range(count)]
        segments = [segment for segment in segments if segment[0] == PT_LOAD]
        end = max(at + length for _, _, _, _, at, _, length, _ in segments)
        if min(segment[4] for segment in segments) != LOADED_AT:
            raise packages.NestedError(f"{path} does not want to be loaded at {LOADED_AT:#x}.")
        self.image = bytearray(end - LOADED_AT)
        for _, _, place, _, at, length, _, _ in segments:
            self.image[at - LOADED_AT : at - LOADED_AT + length] = elf[place : place + length]

    def initrd_at(self):
        """Behind what the kernel uses before it reads its memory map."""
        (size,) = struct.unpack_from("<I", self.file, INIT_SIZE)
        end = LOADED_AT + max(len(self.image), size)
        return -(-end // LARGE_PAGE) * LARGE_PAGE

    def parameters(self):
        """struct boot_params, without what a run adds: memory and the length of the initramfs."""
        params = bytearray(PAGE)
        end = MAGIC + self.file[HEADER_JUMP]
        params[HEADER:end] = self.file[HEADER:end]
        params[LOADER] = LOADER_UNKNOWN
        struct.pack_into("<I", params, INITRD, self.initrd_at())
        struct.pack_into("<I", params, LINE, PARAMS_LINE_AT)
        return params


def write_base(kernel_path, archive, folder):
    """Writes what all runs share to `folder`: kernel and first archive, as they lie in memory, and boot_params."""
    kernel = Kernel(kernel_path)
    with open(folder + "/base.img", "wb") as file:
        file.write(kernel.image)
        file.seek(kernel.initrd_at() - LOADED_AT)
        file.write(archive)
    with open(folder + "/base.params", "wb") as file:
        file.write(kernel.parameters())
    with open(folder + "/base.entry", "w", encoding="ascii") as file:
        file.write(f"{kernel.entry:#x}")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, contents):
    with open(path, "wb") as file:
        file.write(contents)


def add_memory(params, memory):
    """A memory map of `memory` MiB; 64 KiB below 640 KiB are the BIOS' on a PC."""
    ranges = ((0, 0x90000, E820_RAM), (0x90000, 0x10000, E820_RESERVED), (MIB, (memory - 1) * MIB, E820_RAM))
    params[E820_COUNT] = len(ranges)
    for number, entry in enumerate(ranges):
        struct.pack_into("<QQI", params, E820 + 20 * number, *entry)


def write_run(base, archive, command_line, memory, folder):
    """Writes payload.img and rom.bin of one run: what is in `base`, and one more archive. Memory in MiB."""
    image, params = base + "/base.img", bytearray(read(base + "/base.params"))
    (initrd_at,) = struct.unpack_from("<I", params, INITRD)
    size = os.path.getsize(image) + len(archive)
    struct.pack_into("<I", params, INITRD + 4, LOADED_AT + size - initrd_at)
    add_memory(params, memory)
    if len(command_line) > LINE_MAX:
        raise packages.NestedError(f"the kernel's command line is longer than {LINE_MAX} characters.")
    shutil.copyfile(image, folder + "/payload.img")
    with open(folder + "/payload.img", "ab") as file:
        file.write(archive)
        file.truncate(-(-size // BOCHS_BLOCK) * BOCHS_BLOCK)
    write(folder + "/boot_params", params)
    write(folder + "/command_line", command_line.encode("ascii"))
    defined = {
        "PAYLOAD_AT": LOADED_AT,
        "PAYLOAD_BLOCKS": -(-size // BOCHS_BLOCK),
        "ENTRY": read(base + "/base.entry").decode(),
        "BOOT_PARAMS": f"'{os.path.abspath(folder)}/boot_params'",
        "COMMAND_LINE": f"'{os.path.abspath(folder)}/command_line'",
    }
    source = os.path.join(os.path.dirname(__file__), "rom.asm")
    words = [f"-D{name}={value}" for name, value in defined.items()]
    packages.tool("nasm", "-f", "bin", "-Werror", *words, "-o", folder + "/rom.bin", source)
