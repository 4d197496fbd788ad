#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An echo server on Python's asyncio, with streams, a Protocol or a DatagramProtocol."""

import argparse
import asyncio
import ssl


async def echo_stream(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


class EchoProtocol(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class DatagramEchoProtocol(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        self.transport.sendto(data, sender)


async def serve(style, port, tls):
    if style == "datagrams":
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(DatagramEchoProtocol, local_addr=("127.0.0.1", port))
        print("listening on 127.0.0.1:%d" % transport.get_extra_info("sockname")[1], flush=True)
        await loop.create_future()
    if style == "streams":
        server = await asyncio.start_server(echo_stream, "127.0.0.1", port, backlog=4096, ssl=tls)
    else:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(EchoProtocol, "127.0.0.1", port, backlog=4096, ssl=tls)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", choices=["streams", "protocol", "datagrams"], default="protocol")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop instead of asyncio's own loop")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    options = parser.parse_args()
    tls = None
    if options.tls:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*options.tls)
    if options.uvloop:
        import uvloop
        uvloop.install()
    try:
        asyncio.run(serve(options.style, options.port, tls))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
