"""Raw connections to a server, and the application behind it."""

from __future__ import annotations

import asyncio
import contextlib

HOST = b"Host: gateway\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST


class Echo:
    """Answers with the body; notes what it saw."""

    def __init__(self):
        self.requests = []
        self.disconnected = asyncio.Event()
        self.awake = asyncio.Event()
        self.held = asyncio.Event()
        self.served = asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.requests.append(scope)
        if scope["path"] == "/early":
            await self._answer(send, 401, b"no")
            return
        if scope["path"] == "/large":
            await self._answer(send, 200, b"a" * 20_000_000)
            return
        if scope["path"] == "/broken":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise ZeroDivisionError
        if scope["path"] == "/late":
            await self.awake.wait()
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if scope["path"] == "/stream":
            await self._stream(receive, send)
        elif scope["path"] == "/held":
            self.held.set()
            await receive()
            self.disconnected.set()
            await self._answer(send, 200, b"late")
            self.served.set()
        else:
            await self._answer(send, 200, body)

    async def _answer(self, send, status, body):
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await receive()
        self.disconnected.set()


@contextlib.asynccontextmanager
async def connection(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(port, *pieces):
    """Send the pieces and return all that comes back until the server closes."""
    async with connection(port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(10):
            return await all_of(reader)


async def all_of(reader):
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(65536):
            received += piece
    return received


async def send_for_ever(writer, data):
    while True:
        writer.write(data)
        await writer.drain()


def status_of(answer):
    return int(answer.split(b" ", 2)[1])
