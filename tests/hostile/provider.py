"""A provider gone bad: it answers as a test tells it to, and counts who came and what they took."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from contextlib import asynccontextmanager

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
BLOCKED_AFTER = 0.5
"""Seconds that a write has to wait before it counts as held back."""


def content(text):
    return f"event: content\ndata: {json.dumps({'content': text})}\n\n".encode()


class Provider:
    """Answers every request by `answer`, a coroutine that is given the writer.

    Attributes:
        requests: Heads and bodies, as they came.
        written: Bytes that the answers wrote.
        blocked: How many answers cannot be written any further.
    """

    def __init__(self, answer):
        self._answer = answer
        self._changed = asyncio.Condition()
        self.requests = []
        self.written = 0
        self.blocked = 0

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            self.requests.append(head + body)
            if head.startswith(b"GET "):
                writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                await self._answer(self, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def write(self, writer, data):
        """Write; notes how much, and whether the other side stops taking it."""
        writer.write(data)
        self.written += len(data)
        draining = asyncio.ensure_future(writer.drain())
        done, _ = await asyncio.wait({draining}, timeout=BLOCKED_AFTER)
        if not done:
            await self._count_blocked(1)
            try:
                await draining
            finally:
                await self._count_blocked(-1)
        else:
            draining.result()

    async def until_blocked(self, count, seconds):
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self.blocked >= count)

    async def _count_blocked(self, change):
        async with self._changed:
            self.blocked += change
            self._changed.notify_all()


async def endless(provider, writer):
    """Stream without an end, as fast as it is taken."""
    await provider.write(writer, STREAM)
    piece = content("word " * 800)
    while True:
        await provider.write(writer, piece)


def fixed(*pieces):
    """Return an answer of these bytes."""

    async def answer(provider, writer):
        for piece in pieces:
            await provider.write(writer, piece)
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    return answer
