"""A provider of raw sockets, for what no HTTP server does and for counting what is taken from it."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_ASKED = re.compile(rb"\[\[raw:([a-z-]+)\]\]")

PIECE = "and so on, " * 100
FLOOD_LIMIT = 48 << 20
"""Bytes that a flood may reach before the test is lost; sockets and pipes hold a tenth of it."""

BLOCKED_AFTER = 1.0
"""Seconds that a write has to wait before it counts as held back."""


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


class RawProvider:
    """Answers by the marker `[[raw:NAME]]` in the request.

    Attributes:
        blocked: Set when a flood cannot be written any further.
        resumed: Set when it can again; the flood then ends as a whole answer.
        written: Bytes of the flood.
        pieces: Of the flood.
    """

    def __init__(self):
        self.blocked = asyncio.Event()
        self.written = 0
        self.pieces = 0

    @asynccontextmanager
    async def running(self, **options):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **options)
        scheme = "https" if "ssl" in options else "http"
        self.url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader, writer):
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", request)
            request += await reader.readexactly(int(length[1]) if length else 0)
            asked = _ASKED.search(request)
            if asked:
                await getattr(self, "_" + asked[1].decode().replace("-", "_"))(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _not_http(self, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    async def _model_event(self, writer):
        writer.write(_STREAM + event("error", {"error": "Model gpt-4o is not supported"}))

    async def _error_after_progress(self, writer):
        writer.write(_STREAM + event("progress", {"percent": 50}))
        await writer.drain()
        await asyncio.sleep(0.1)  # so that the event is read alone
        writer.write(event("error", {"error": "The openai service is a bit busy right now"}))

    async def _flood(self, writer):
        writer.write(_STREAM)
        while not self.blocked.is_set() and self.written < FLOOD_LIMIT:
            piece = event("content", {"content": PIECE})
            writer.write(piece)
            self.written += len(piece)
            self.pieces += 1
            try:
                async with asyncio.timeout(BLOCKED_AFTER):
                    await writer.drain()
            except TimeoutError:
                self.blocked.set()
        writer.write(event("done", {"message": "Stream completed"}))
        await writer.drain()
