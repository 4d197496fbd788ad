# SPDX-License-Identifier: Apache-2.0
"""Plays a service manager: binds sockets, starts a program with them, hears its notifications, and reaps all that comes of it.

usage: manager.py FOLDER SOCKET[,SOCKET...] PROGRAM [ARGUMENT...]

A socket is "tcp", "unix" or "datagram", with ":NAME" behind it for a name; "none" is no socket. Prints "listening ADDRESS" for each,
"started PID", "told PID MESSAGE" for each notification (lines joined by a bar), "ended PID STATUS" for each process, and ends
when none is left. At the end of its input it kills those that it has heard of.
"""

import ctypes
import os
import selectors
import signal
import socket
import struct
import sys

PR_SET_CHILD_SUBREAPER = 36
FIRST = 3


def say(text):
    os.write(1, (text + "\n").encode())


def open_socket(kind, folder):
    if kind == "tcp":
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.bind(("127.0.0.1", 0))
        made.listen(128)
        say(f"listening {made.getsockname()[1]}")
    else:
        is_stream = kind == "unix"
        path = os.path.join(folder, kind)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
        made.bind(path)
        if is_stream:
            made.listen(128)
        say(f"listening {path}")
    return made


def run_child(sockets, names, notify, program):
    # Out of the way of where they shall be.
    copies = [os.dup2(s.fileno(), 100 + n) for n, s in enumerate(sockets)]
    for number, copy in enumerate(copies):
        os.dup2(copy, FIRST + number, inheritable=True)
    environment = dict(os.environ, NOTIFY_SOCKET=notify, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    if sockets:
        environment.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(names))
    # Whoever started us may have had signals blocked.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvpe(program[0], program, environment)


def credentials(ancillary):
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return struct.unpack("3i", data[:12])[0]
    return 0


def main():
    folder, kinds, program = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    kinds = [kind.partition(":") for kind in kinds if kind != "none"]
    sockets = [open_socket(kind, folder) for kind, _, _ in kinds]
    path = os.path.join(folder, "notify")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    notify.bind(path)
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        run_child(sockets, [name or "unknown" for _, _, name in kinds], path, program)
    say(f"started {child}")
    for each in sockets:
        each.close()
    selector = selectors.DefaultSelector()
    selector.register(notify, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)
    known = {child}
    notify.setblocking(False)
    while True:
        if any(key.fd == 0 for key, _ in selector.select()) and not os.read(0, 100):
            selector.unregister(0)
            for pid in known:
                os.kill(pid, signal.SIGKILL)
        try:
            os.read(wake, 100)
        except BlockingIOError:
            pass
        while True:
            try:
                message, ancillary, _, _ = notify.recvmsg(8192, 1024)
            except BlockingIOError:
                break
            sender = credentials(ancillary)
            known.add(sender)
            say(f"told {sender} {'|'.join(message.decode().splitlines())}")
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if ended == 0:
                break
            known.discard(ended)
            say(f"ended {ended} {os.waitstatus_to_exitcode(status)}")


main()
