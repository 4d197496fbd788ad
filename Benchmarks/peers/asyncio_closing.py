# SPDX-License-Identifier: Apache-2.0
"""The longest iteration of asyncio's loop while many connections of a server are closed, as growth-bench measures it."""

import asyncio
import socket
import statistics
import sys
import time


async def longest_tick(number):
    loop = asyncio.get_running_loop()
    transports = set()

    class Silent(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transports.add(transport)

        def connection_lost(self, error):
            transports.discard(self.transport)

    server = await loop.create_server(Silent, "127.0.0.1", 0, backlog=1000)
    port = server.sockets[0].getsockname()[1]
    peers = await loop.run_in_executor(None, lambda: [socket.create_connection(("127.0.0.1", port)) for _ in range(number)])
    while len(transports) < number:
        await asyncio.sleep(0.001)
    longest, last, goes_on = 0.0, time.monotonic(), True

    def tick():
        nonlocal longest, last
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        if goes_on:
            loop.call_soon(tick)

    tick()
    for transport in list(transports):
        transport.close()
    while transports:
        await asyncio.sleep(0)
    goes_on = False
    tick()
    server.close()
    for peer in peers:
        peer.close()
    return longest * 1000


number, rounds = int(sys.argv[1]), int(sys.argv[2])
print("close_tick_ms=%.1f" % statistics.median(asyncio.run(longest_tick(number)) for _ in range(rounds)))
