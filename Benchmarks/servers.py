# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared, and how one of them is run and looked at."""

import os
import re
import select
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.join(".build", "release")

# asyncio reads into a fresh buffer of 256 KiB every time, which glibc's default
# settings map and unmap; with these it comes from the heap.
MALLOC = ["env", "MALLOC_MMAP_THRESHOLD_=4194304", "MALLOC_TRIM_THRESHOLD_=16777216"]

# name, command (relative to this folder; PYTHON is the interpreter of --python),
# and a hint for when it cannot be run. "--port 0" is appended to every command; a
# server prints "listening on 127.0.0.1:PORT" once it does.
PEERS = [
    ("epoll-echo", [f"{BIN}/epoll-echo"], "swift build -c release"),
    ("uv-echo", [f"{BIN}/uv-echo"], "swift build -c release"),
    ("swift-callbacks", [f"{BIN}/asyncio-echo", "--style", "callbacks"], "swift build -c release"),
    ("swift-streams", [f"{BIN}/asyncio-echo", "--style", "streams"], "swift build -c release"),
    ("nio-handlers", [f"{BIN}/nio-echo", "--style", "handlers"], "swift build -c release"),
    ("nio-async", [f"{BIN}/nio-echo", "--style", "async"], "swift build -c release"),
    ("tokio", ["peers/tokio-echo/target/release/tokio-echo"], "optional, see README.md"),
    ("asyncio-protocol", ["PYTHON", "peers/asyncio_echo.py", "--style", "protocol"], ""),
    ("asyncio-streams", ["PYTHON", "peers/asyncio_echo.py", "--style", "streams"], ""),
    ("asyncio-protocol-malloc", MALLOC + ["PYTHON", "peers/asyncio_echo.py", "--style", "protocol"], ""),
    ("asyncio-streams-malloc", MALLOC + ["PYTHON", "peers/asyncio_echo.py", "--style", "streams"], ""),
    ("uvloop-protocol", ["PYTHON", "peers/asyncio_echo.py", "--style", "protocol", "--uvloop"], "optional"),
    ("uvloop-streams", ["PYTHON", "peers/asyncio_echo.py", "--style", "streams", "--uvloop"], "optional"),
]

UDP_PEERS = [
    ("epoll-udp-echo", [f"{BIN}/epoll-udp-echo"], "swift build -c release"),
    ("epoll-udp-batch", [f"{BIN}/epoll-udp-echo", "--batch"], "swift build -c release"),
    ("uv-udp-echo", [f"{BIN}/uv-udp-echo"], "swift build -c release"),
    ("swift-udp", [f"{BIN}/asyncio-echo", "--style", "datagrams"], "swift build -c release"),
    ("asyncio-udp", ["PYTHON", "peers/asyncio_echo.py", "--style", "datagrams"], ""),
]

# CERTIFICATE and KEY stand for files that are made for the run.
TLS = ["--tls", "CERTIFICATE", "KEY"]
TLS_PEERS = [
    ("epoll-tls-echo", [f"{BIN}/epoll-tls-echo"] + TLS, "swift build -c release"),
    ("epoll-tls-ahead", [f"{BIN}/epoll-tls-echo", "--read-ahead"] + TLS, "swift build -c release"),
    ("swift-tls", [f"{BIN}/asyncio-echo", "--style", "callbacks"] + TLS, "swift build -c release"),
    ("swift-tls-streams", [f"{BIN}/asyncio-echo", "--style", "streams"] + TLS, "swift build -c release"),
    ("nio-tls", [f"{BIN}/nio-echo", "--style", "handlers"] + TLS, "swift build -c release"),
    ("asyncio-tls", ["PYTHON", "peers/asyncio_echo.py", "--style", "protocol"] + TLS, ""),
    ("uvloop-tls", ["PYTHON", "peers/asyncio_echo.py", "--style", "protocol", "--uvloop"] + TLS, "optional"),
]


def missing(command):
    """Why a peer cannot be run, or None."""
    if "--uvloop" in command:
        probe = subprocess.run([command[0], "-c", "import uvloop"], capture_output=True)
        return None if probe.returncode == 0 else "uvloop cannot be imported"
    if "/" in command[0] and not os.access(command[0], os.X_OK):
        return command[0] + " does not exist"
    return None


def make_certificate(folder):
    """A self-signed certificate on the curve P-256, and its key."""
    certificate, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
                   check=True, stderr=subprocess.DEVNULL)
    return certificate, key


def pinned(core):
    """Has a process that is about to start keep to one core, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    return (lambda: os.sched_setaffinity(0, {cores[core]})) if len(cores) > 1 else None


def start(command, pin=False, quiet=False):
    """Starts a server; returns its process and port."""
    process = subprocess.Popen(command + ["--port", "0"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL if quiet else None, preexec_fn=pinned(0) if pin else None)
    try:
        ready, _, _ = select.select([process.stdout], [], [], 10)
        line = process.stdout.readline().decode() if ready else ""
        match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\s*", line)
        if not match:
            raise RuntimeError(f"expected 'listening on 127.0.0.1:PORT' from the server, got {line!r}")
        return process, int(match.group(1))
    except BaseException:
        stop(process)
        raise


def stop(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def held_by(process):
    """How many descriptors a server has open, and its resident memory in kB."""
    with open(f"/proc/{process.pid}/status") as file:
        rss = int(re.search(r"VmRSS:\s*(\d+)", file.read()).group(1))
    return len(os.listdir(f"/proc/{process.pid}/fd")), rss


def settled(process):
    """What the server holds once it has seen the last connection end."""
    held = held_by(process)
    for _ in range(50):
        time.sleep(0.02)
        last, held = held, held_by(process)
        if held == last:
            break
    return held


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def print_table(header, rows):
    widths = [max(len(row[i]) for row in [header] + rows) for i in range(len(header))]
    for row in [header] + rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())
