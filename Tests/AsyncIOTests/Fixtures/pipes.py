# SPDX-License-Identifier: Apache-2.0
"""Runs the probe's echo of standard input on a kind of descriptor, and prints "ok", or what was not as it should be."""
import os
import subprocess
import sys
import termios

kind, probe = sys.argv[1:]


def check(what, value, wanted):
    if value != wanted:
        print(f"{what}: {value!r}, not {wanted!r}")
        sys.exit(1)


if kind == "pipe":
    child = subprocess.run([probe, "pipes"], input=b"one\ntwo", stdout=subprocess.PIPE, timeout=60)
    check("output", child.stdout, b"ONE\nTWO\ndone\n")
    check("status", child.returncode, 0)
elif kind == "null":
    child = subprocess.run([probe, "pipes"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60)
    check("output", child.stdout, b"done\n")
    check("status", child.returncode, 0)
else:
    master, terminal = os.openpty()
    mode = termios.tcgetattr(terminal)
    mode[1] &= ~termios.OPOST
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, mode)
    # The same open file for both, as a shell gives it.
    child = subprocess.Popen([probe, "pipes"], stdin=terminal, stdout=terminal)
    # The last is what a terminal turns into the end of its input.
    os.write(master, b"one\ntwo\n\x04")
    output = b""
    while not output.endswith(b"done\n"):
        output += os.read(master, 1000)
    check("status", child.wait(60), 0)
    check("output", output, b"ONE\nTWO\ndone\n")
    check("the terminal blocks as before", os.get_blocking(terminal), True)
print("ok")
