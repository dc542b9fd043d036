"""Runs a program where Linux refuses ways to watch it, as containers and older machines do.

    forbid.py WAY[,WAY] PROGRAM ARGUMENT...

Ways: notify, ptrace, memory (process_vm_readv), mount, and namespaces: user namespaces, as Docker's default profile does.
"""

import ctypes
import os
import struct
import sys

NUMBERS = {"x86_64": (317, 101, 310, 165, 56, 272), "aarch64": (277, 117, 270, 40, 220, 97)}
seccomp, ptrace, memory, mount, clone, unshare = NUMBERS[os.uname().machine]
clone3, new_user = 435, 0x10000000
ways = sys.argv[1].split(",")


def statement(code, k, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, k)


LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050001, 0x00050026
program = [statement(LOAD, 0)]
if "ptrace" in ways:
    program += [statement(JUMP_EQUAL, ptrace, 0, 1), statement(RETURN, REFUSE)]
if "memory" in ways:
    program += [statement(JUMP_EQUAL, memory, 0, 1), statement(RETURN, REFUSE)]
if "mount" in ways:
    program += [statement(JUMP_EQUAL, mount, 0, 1), statement(RETURN, REFUSE)]
if "namespaces" in ways:
    program += [statement(JUMP_EQUAL, clone3, 0, 1), statement(RETURN, UNKNOWN)]
    for call in (clone, unshare):
        # The flags are the first argument; then the number again.
        program += [statement(JUMP_EQUAL, call, 0, 4), statement(LOAD, 16), statement(JUMP_SET, new_user, 0, 1), statement(RETURN, REFUSE)]
        program += [statement(LOAD, 0)]
if "notify" in ways:
    # seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER (8) among its flags, the second argument.
    program += [statement(JUMP_EQUAL, seccomp, 0, 3), statement(LOAD, 24), statement(JUMP_SET, 8, 0, 1), statement(RETURN, REFUSE)]
program.append(statement(RETURN, ALLOW))

libc = ctypes.CDLL(None, use_errno=True)
code = ctypes.create_string_buffer(b"".join(program))


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
given = Program(len(program), ctypes.cast(code, ctypes.c_void_p))
if libc.prctl(22, 2, ctypes.byref(given), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    sys.exit(f"cannot forbid: errno {ctypes.get_errno()}")
os.execvp(sys.argv[2], sys.argv[2:])
