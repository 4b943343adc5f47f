#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tells whether /dev/kvm can give a guest VMX. Exit status 0: yes; 1: no, and the reason is printed.

A /dev/kvm that opens says little: the host may be an AMD one, or may itself be a guest without nested VMX.
"""

import ctypes
import fcntl
import os
import struct
import sys

KVM_GET_API_VERSION = 0xAE00
KVM_GET_SUPPORTED_CPUID = 0xC008AE05
KVM_API_VERSION = 12
MAX_ENTRIES = 256
HEADER = struct.Struct("II")  # struct kvm_cpuid2: number of entries, padding
ENTRY = struct.Struct("10I")  # struct kvm_cpuid_entry2: function, index, flags, eax, ebx, ecx, edx, padding
CPUID_1_ECX_VMX = 1 << 5


def refusal():
    """None if KVM offers VMX to its guests, else one sentence that says why not."""
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"/dev/kvm cannot be opened ({error.strerror})"
    try:
        if fcntl.ioctl(kvm, KVM_GET_API_VERSION) != KVM_API_VERSION:
            return "/dev/kvm speaks another version of KVM's interface"
        # The array is larger than the 1024 bytes that fcntl.ioctl() copies; a mutable buffer has no such limit.
        table = ctypes.create_string_buffer(HEADER.size + MAX_ENTRIES * ENTRY.size)
        HEADER.pack_into(table, 0, MAX_ENTRIES, 0)
        fcntl.ioctl(kvm, KVM_GET_SUPPORTED_CPUID, table, True)
    except OSError as error:
        return f"/dev/kvm does not answer ({error.strerror})"
    finally:
        os.close(kvm)
    count, _ = HEADER.unpack_from(table, 0)
    for number in range(min(count, MAX_ENTRIES)):
        function, _, _, _, _, ecx, *_ = ENTRY.unpack_from(table, HEADER.size + number * ENTRY.size)
        if function == 1 and ecx & CPUID_1_ECX_VMX:
            return None
    return "/dev/kvm does not offer VMX to its guests (nested virtualization is off, or the CPU has none)"


if __name__ == "__main__":
    reason = refusal()
    if reason:
        print(reason)
        sys.exit(1)
