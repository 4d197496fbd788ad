# SPDX-License-Identifier: Apache-2.0
"""A plain-text HTTP/1.1 server on asyncio's streams, without a framework: what asyncio itself makes possible."""

import argparse
import asyncio
import time
from email.utils import formatdate

BODY = b"hello, world\n"
answer, good_until = b"", 0.0


def current_answer():
    global answer, good_until
    if time.monotonic() >= good_until:
        good_until = time.monotonic() + 0.1
        answer = (b"HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
                  % (formatdate(usegmt=True).encode(), len(BODY))) + BODY
    return answer


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            if not lines[0].endswith((b" HTTP/1.1", b" HTTP/1.0")):
                break
            fields = dict(line.lower().split(b":", 1) for line in lines[1:] if line)
            writer.write(current_answer())
            await writer.drain()
            if fields.get(b"connection", b"").strip() == b"close":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port):
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop instead of asyncio's own loop")
    options = parser.parse_args()
    if options.uvloop:
        import uvloop
        uvloop.install()
    try:
        asyncio.run(main(options.port))
    except KeyboardInterrupt:
        pass
