"""Writes a streamed answer: its head, its events, and comments into its silences."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from service.openai_http.sse import KEEP_ALIVE

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Send

    from service.openai_http.answer import Headers

PENDING_LIMIT: Final = 64
"""Events that are written at once, even if the source never has to wait."""


@dataclass(frozen=True, slots=True)
class Silence:
    """What a client is spared, in seconds.

    Attributes:
        interval: Silence of a body after which it carries a comment.
        early_head_after: Silence before the head after which it is sent, come what may; 0: never.
    """

    interval: float
    early_head_after: float = 0.0


class StreamWriter:
    """An async context that writes a head, whole events, and a comment after each silence.

    One sleeping task for each stream, none for each event. While the client does not read, there
    is no silence to fill.

    Args:
        send: Of the ASGI server.
        silence: When to fill it.
        early: The headers of a head that is sent early.
    """

    def __init__(self, send: Send, silence: Silence, early: Headers) -> None:
        self._send = send
        self._interval = silence.interval
        self._early_after = silence.early_head_after or None
        self._early = early
        self._head = asyncio.Lock()
        self._begun = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()
        self._pending: list[bytes] = []
        self._writing = False

    @property
    def begun(self) -> bool:
        """Whether the head is out, so that a failure can only be told in the body."""
        return self._begun.is_set()

    async def begin(self, headers: Headers) -> None:
        """Send the head, unless it was sent early."""
        async with self._head:
            if not self.begun:
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
                self._last = self._clock()
                self._begun.set()

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
        try:
            async with asyncio.timeout(self._early_after):
                await self._begun.wait()
        except TimeoutError:
            await self.begin(self._early)
            await self._write(KEEP_ALIVE)
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
