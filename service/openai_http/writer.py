"""Writes the body of a stream, and comments into its silences."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from service.openai_http.sse import KEEP_ALIVE

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Send

PENDING_LIMIT: Final = 64
"""Events that are written at once, even if the source never has to wait."""


class StreamWriter:
    """An async context that writes whole events, and a comment after each `interval` of silence.

    One sleeping task for each stream, none for each event. While the client does not read, there
    is no silence to fill.
    """

    def __init__(self, send: Send, interval: float) -> None:
        self._send = send
        self._interval = interval
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()
        self._pending: list[bytes] = []
        self._writing = False

    async def add(self, event: bytes) -> None:
        """Take bytes that end with the end of an event, to be written with the next `flush`."""
        self._pending.append(event)
        if len(self._pending) >= PENDING_LIMIT:
            await self.flush()
            # A write that has room does not wait: without this, others would never have a turn.
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Write what was taken."""
        if self._pending:
            await self._write(self.take())

    def take(self) -> bytes:
        """Return what was taken and not written."""
        body = b"".join(self._pending)
        self._pending.clear()
        return body

    async def __aenter__(self) -> Self:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # No comment may come after the end of the body.
        self._beating.cancel()
        await asyncio.wait([self._beating])

    async def _write(self, body: bytes) -> None:
        self._writing = True
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self._writing = False
        self._last = self._clock()

    async def _beat(self) -> None:
        wait = self._interval
        while True:
            await asyncio.sleep(wait)
            quiet = self._clock() - self._last
            if quiet < self._interval:
                wait = self._interval - quiet
                continue
            if not self._writing:
                await self._write(KEEP_ALIVE)
            wait = self._interval
