# SPDX-License-Identifier: Apache-2.0
"""The other side of the interoperation tests: Python's own asyncio, as a client or as a server.

    peer.py server               prints its port, then serves until its standard input ends
    peer.py client PORT SCRIPT   connects, does what the script says, and prints what it found

A path in the place of a port, or behind "server", stands for a unix socket; a leading @ for an abstract name.
"""

import asyncio
import hashlib
import socket
import struct
import sys

MEGABYTES_8 = 8 << 20


def pattern(count):
    """Bytes that differ from place to place, in a period that no buffer size divides."""
    block = bytes((i * 7 + (i >> 8)) & 0xFF for i in range(65521))
    return (block * (count // len(block) + 1))[:count]


def set_reset(writer):
    """Has the close send a reset, and no end of file."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def serve(reader, writer):
    """The first line says what to do."""
    try:
        command, *arguments = (await reader.readline()).decode().split()
        if command == "echo":
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        elif command == "check":
            # Answers only once the peer has ended its side: the connection is half open by then.
            data = await reader.read()
            assert reader.at_eof()
            answer = "same" if data == pattern(len(data)) else "different"
            writer.write(f"{len(data)} {answer}\n".encode())
            await writer.drain()
        elif command == "flood":
            writer.write(pattern(int(arguments[0])))
            await writer.drain()
        elif command == "lines":
            for number in range(int(arguments[0])):
                writer.write(b"line %d\r\n" % number)
                if number % 1000 == 0:
                    await writer.drain()
        elif command == "reset":
            set_reset(writer)
            writer.transport.abort()
            return
        elif command == "await-end":
            writer.write(b"unread")
            await writer.drain()
            print("ready", flush=True)
            try:
                while await reader.read(65536):
                    pass
                print("end", flush=True)
            except ConnectionResetError:
                print("reset", flush=True)
            return
        writer.close()
        await writer.wait_closed()
    except BaseException as error:
        print(f"failed: {error!r}", flush=True)
        raise


def unix_path(text):
    return "\0" + text[1:] if text.startswith("@") else text


async def run_server():
    if len(sys.argv) > 2:
        server = await asyncio.start_unix_server(serve, unix_path(sys.argv[2]))
        print(sys.argv[2], flush=True)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    standard_input = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(standard_input), sys.stdin)
    await standard_input.read()
    server.close()


async def echo_8_megabytes(reader, writer):
    data = pattern(MEGABYTES_8)

    async def send():
        for start in range(0, len(data), 100_000):
            writer.write(data[start : start + 100_000])
            await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    echoed = await reader.read()
    await sending
    same = hashlib.sha256(echoed).digest() == hashlib.sha256(data).digest()
    return f"{len(echoed)} {'same' if same else 'different'}"


async def echo_lines(reader, writer):
    count = 10_000

    async def send():
        for number in range(count):
            writer.write(b"line %d\n" % number)
            if number % 100 == 0:
                await writer.drain()

    sending = asyncio.create_task(send())
    right = 0
    for number in range(count):
        right += await reader.readline() == b"line %d\n" % number
    await sending
    return f"{right} lines"


async def ping_pong(reader, writer):
    for number in range(500):
        writer.write(b"%d" % number)
        answer = await reader.readexactly(len(str(number)))
        assert int(answer) == number
    return "500 answers"


async def half_close(reader, writer):
    writer.write(b"all I have to say")
    writer.write_eof()
    answer = await reader.read()
    return answer.decode()


async def reset(reader, writer):
    writer.write(b"going")
    await reader.readexactly(5)
    set_reset(writer)
    writer.transport.abort()
    return "gone"


SCRIPTS = {s.__name__: s for s in (echo_8_megabytes, echo_lines, ping_pong, half_close, reset)}


async def run_client(port, script):
    if port.isdigit():
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    else:
        reader, writer = await asyncio.open_unix_connection(unix_path(port))
    print(await SCRIPTS[script](reader, writer), flush=True)
    writer.close()
    await writer.wait_closed()


if sys.argv[1] == "server":
    asyncio.run(run_server())
else:
    asyncio.run(run_client(sys.argv[2], sys.argv[3]))
