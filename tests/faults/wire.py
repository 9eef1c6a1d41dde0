"""A client at either door that can be left, held back and slowed down at will."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from urllib.parse import urlsplit

import grpc

from tests.faults.doors import CHAT, HttpAnswer, http_body, http_headers, rpc

SOON = 30.0
RECEIVE_BUFFER = 1 << 16
"""Bytes of a client's socket, so that what it does not read is soon felt."""


class HttpCaller:
    """One HTTP/1.1 exchange, byte by byte."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self.received = b""

    @classmethod
    async def open(cls, house):
        address = urlsplit(house.http_url)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        connection.setblocking(False)  # noqa: FBT003  # the signature is the library's
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (address.hostname, address.port))
        return cls(*await asyncio.open_connection(sock=connection, limit=RECEIVE_BUFFER))

    @classmethod
    async def call(cls, house, key, faults="", *, stream):
        """Open a connection and send a request."""
        caller = await cls.open(house)
        caller.send(b"".join(request(key, faults, stream=stream)))
        return caller

    def send(self, data):
        self._writer.write(data)

    async def half_close(self):
        """Close the sending side, and read on until the server closes too."""
        self._writer.write_eof()
        async with asyncio.timeout(SOON):
            while await self._more():
                pass
        self._writer.close()

    async def read_until(self, mark):
        async with asyncio.timeout(SOON):
            while mark not in self.received:
                assert await self._more(), self.received

    async def read_all(self):
        """Read what is left until the server closes, and return the answer."""
        async with asyncio.timeout(SOON):
            while await self._more():
                pass
        self._writer.close()
        return answer_of(self.received)

    async def _more(self):
        chunk = await self._reader.read(1 << 16)
        self.received += chunk
        return chunk

    async def leave(self):
        self._writer.transport.abort()


def request(key, faults="", *, stream):
    """Return head and body of a request; the server is asked to close after it."""
    body = json.dumps(http_body(faults, stream=stream)).encode()
    lines = [f"POST {CHAT} HTTP/1.1", "Host: gateway", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in http_headers(key).items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode(), body


def answer_of(data):
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(_chunks(body))
    return HttpAnswer(int(status.split(" ")[1]), headers, body)


def _chunks(data):
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)  # fails where the body breaks off
        if not length:
            return
        yield data[:length]
        data = data[length + 2 :]


class GrpcCaller:
    """One RPC, message by message."""

    def __init__(self, call):
        self._call = call

    @classmethod
    async def call(cls, house, key, faults="", *, stream):
        return cls(rpc(house, key, faults, stream=stream))

    async def read_until(self, text):
        received = ""
        async with asyncio.timeout(SOON):
            while text.decode() not in received:
                received += (await self._call.read()).delta.text

    async def read_text(self):
        """Read the rest and return the text of it."""
        return "".join([message.delta.text async for message in self._call])

    async def read_rest(self):
        """Read the rest message by message and return the code at the end."""
        while await self._call.read() is not grpc.aio.EOF:
            pass
        return (await self._call.code()).name

    async def leave(self):
        self._call.cancel()
        with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await self._call.code()


async def call(column, house, key, faults=""):
    """Begin a call as a column of the matrix says."""
    caller = HttpCaller if column.is_http else GrpcCaller
    return await caller.call(house, key, faults, stream=column.is_streamed)
