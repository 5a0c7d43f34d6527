#!/usr/bin/env python3
"""Run a program as on a hardened host: hardened.py WHAT PROGRAM [ARGUMENTS…]

wx      no memory that is or becomes both writable and executable, as MemoryDenyWriteExecute= has it
memfd   no memfd_create() either
code    no shared memory may be executed at all
"""
import ctypes
import errno
import os
import struct
import sys

PROT_WRITE, PROT_EXEC, MAP_SHARED = 2, 4, 1
MMAP, MPROTECT, MEMFD_CREATE = 9, 10, 319
LOAD, AND, EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
ALLOW, REFUSE = 0x7fff0000, 0x00050000 | errno.EPERM


def refuse(call, *conditions):
    """Refuse a system call when all arguments (number, bits) have all of these bits."""
    code = []
    for number, bits in conditions:
        code += [(LOAD, 0, 0, 16 + 8 * number), (AND, 0, 0, bits), (EQUAL, 0, None, bits)]
    code.append((RETURN, 0, 0, REFUSE))
    code = [(c, t, len(code) - i - 1 if f is None else f, k) for i, (c, t, f, k) in enumerate(code)]
    return [(LOAD, 0, 0, 0), (EQUAL, 0, len(code), call)] + code


RULES = {"wx": refuse(MMAP, (2, PROT_WRITE | PROT_EXEC)) + refuse(MPROTECT, (2, PROT_EXEC))}
RULES["memfd"] = RULES["wx"] + refuse(MEMFD_CREATE)
RULES["code"] = RULES["wx"] + refuse(MMAP, (2, PROT_EXEC), (3, MAP_SHARED))


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


rules = RULES[sys.argv[1]] + [(RETURN, 0, 0, ALLOW)]
program = Program(len(rules), b"".join(struct.pack("HBBI", *r) for r in rules))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program)):  # no new privileges; seccomp filter
    sys.exit(77 if ctypes.get_errno() in (errno.EINVAL, errno.ENOSYS) else "hardened.py: no seccomp filter")
os.execv(sys.argv[2], sys.argv[2:])
