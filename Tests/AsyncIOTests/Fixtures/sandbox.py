# SPDX-License-Identifier: Apache-2.0
# Runs a program under a filter of system calls, as containers have them: `sandbox.py ERRNO PROGRAM ARGUMENT...` answers
# the newer calls, and newer flags of older ones, with the error.
import ctypes
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_EQUAL, JUMP_BITS, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 16, 24

numbers = {
    "x86_64": dict(clone=56, ioctl=16, waitid=247, recvmmsg=299, sendmmsg=307, pwritev2=328),
    "aarch64": dict(clone=220, ioctl=29, waitid=95, recvmmsg=243, sendmmsg=269, pwritev2=287),
}[platform.machine()]
# Those have the same number everywhere.
numbers.update(pidfd_send_signal=424, pidfd_open=434, close_range=436, epoll_pwait2=441)

refused = ERRNO | int(sys.argv[1])
program = []


def add(code, value, if_true=0, if_false=0):
    program.append(struct.pack("HBBI", code, if_true, if_false, value))


def refuse_call(name):
    add(LOAD_WORD, NUMBER)
    add(JUMP_EQUAL, numbers[name], 0, 1)
    add(RETURN, refused)


def refuse_argument(name, offset, jump, value):
    add(LOAD_WORD, NUMBER)
    add(JUMP_EQUAL, numbers[name], 0, 3)
    add(LOAD_WORD, offset)
    add(jump, value, 0, 1)
    add(RETURN, refused)


for name in "epoll_pwait2 pidfd_open pidfd_send_signal close_range recvmmsg sendmmsg pwritev2".split():
    refuse_call(name)
refuse_argument("clone", FIRST_ARGUMENT, JUMP_BITS, 0x1000)  # CLONE_PIDFD
refuse_argument("waitid", FIRST_ARGUMENT, JUMP_EQUAL, 3)  # P_PIDFD
refuse_argument("ioctl", SECOND_ARGUMENT, JUMP_EQUAL, 0x5441)  # TIOCGPTPEER
add(RETURN, ALLOW)

code = ctypes.create_string_buffer(b"".join(program))


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


libc = ctypes.CDLL(None, use_errno=True)
filter = Filter(len(program), ctypes.addressof(code))
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter), 0, 0) == 0, os.strerror(ctypes.get_errno())
# It holds: a call that is refused says so.
assert libc.syscall(numbers["close_range"], 0x7FFFFFFF, 0x7FFFFFFF, 0) == -1 and ctypes.get_errno() == int(sys.argv[1])
os.execv(sys.argv[2], sys.argv[2:])
