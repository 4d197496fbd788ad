# SPDX-License-Identifier: Apache-2.0
"""Short connections at a steady rate, to see what they leave."""

import os
import socket
import sys
import time

import servers


def visit(number, port, message):
    """One short connection: by turns it is closed, half closed first, and reset."""
    with socket.socket() as connection:
        # From a thousand addresses in turn: those that were closed block their port for a minute.
        connection.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        connection.bind((f"127.0.{1 + number // 250 % 4}.{1 + number % 250}", 0))
        connection.settimeout(10)
        connection.connect(("127.0.0.1", port))
        connection.sendall(message)
        if number % 3 == 1:
            connection.shutdown(socket.SHUT_WR)
        left = len(message)
        while left > 0:
            chunk = connection.recv(left)
            if not chunk:
                raise RuntimeError(f"connection {number} ended early")
            left -= len(chunk)
        if number % 3 == 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def churn(command, options):
    """Makes short connections at a steady rate; returns what the server held before and after, and its CPU time."""
    # A server may report each connection that is reset, and a third of them are.
    process, port = servers.start(command, options.pin, quiet=True)
    try:
        message = os.urandom(options.size)
        # What a server takes once and for all it takes for the first few thousand.
        warmup = 5 * options.churn
        total = warmup + int(options.churn * options.churn_seconds)
        begin = time.monotonic()
        for number in range(total):
            if number == warmup:
                before, idle_cpu, measured = servers.settled(process), servers.cpu_seconds(process), time.monotonic()
                begin = measured - number / options.churn
            wait = begin + number / options.churn - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            visit(number, port, message)
        seconds = time.monotonic() - measured
        after = servers.settled(process)
        return before, after, (total - warmup) / seconds, (servers.cpu_seconds(process) - idle_cpu) * 1e6 / (total - warmup)
    finally:
        servers.stop(process)


def report(peers, options):
    """One table of what each server held; fails when one holds more after than before."""
    rows, failures = [], 0
    for name, command in peers:
        try:
            before, after, rate, cpu = churn(command, options)
        except (OSError, RuntimeError) as error:
            failures += 1
            print(f"{name}: {error}", file=sys.stderr)
            continue
        # Heaps breathe: a leak of 32 bytes a connection is more than this by far.
        leaks = after[0] > before[0] or after[1] - before[1] > 1024
        failures += leaks
        rows.append([name, f"{rate:.0f}", f"{cpu:.0f}", f"{before[0]}", f"{after[0]}", f"{before[1]}", f"{after[1]}",
                     "LEAKS" if leaks else "ok"])
        print(f"{name}: done", file=sys.stderr)
    print(f"{options.churn} short connections a second for {options.churn_seconds:g} s, behind {5 * options.churn} that "
          "are not counted")
    servers.print_table(["peer", "connections/s", "cpu us", "fds before", "after", "RSS kB before", "after", ""], rows)
    return 1 if failures or not rows else 0
