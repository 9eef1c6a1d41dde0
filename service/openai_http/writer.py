"""Writes a streamed answer: its head, its events, and comments into its silences."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from service.openai_http.sse import KEEP_ALIVE

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Send

    from service.openai_http.answer import Headers

PENDING_LIMIT: Final = 256
"""Events that are written at once, even if the source never has to wait: 2 ms of work."""


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

    One timer for each stream, and a task only where there is a silence to fill. While the client
    does not read, there is none.

    Args:
        send: Of the ASGI server.
        silence: When to fill it.
        early: The headers of a head that is sent early.
    """

    __slots__ = (
        "_begun",
        "_early",
        "_filling",
        "_head",
        "_interval",
        "_last",
        "_loop",
        "_patience",
        "_pending",
        "_send",
        "_timer",
        "_writing",
    )

    def __init__(self, send: Send, silence: Silence, early: Headers) -> None:
        self._send = send
        self._interval = silence.interval
        self._patience = silence.early_head_after or math.inf
        self._early = early
        self._head = asyncio.Lock()
        self._begun = False
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._filling: asyncio.Task[None] | None = None
        self._pending: list[bytes] = []
        self._writing = False

    @property
    def begun(self) -> bool:
        """Whether the head is out, so that a failure can only be told in the body."""
        return self._begun

    async def begin(self, headers: Headers) -> None:
        """Send the head, unless it was sent early."""
        async with self._head:
            if not self._begun:
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
                self._begun = True
                self._patience = self._interval
                self._look_in(self._interval)

    @property
    def is_full(self) -> bool:
        """Whether so much was taken that `make_room` must come before the next event."""
        return len(self._pending) >= PENDING_LIMIT

    def add(self, event: bytes) -> None:
        """Take bytes that end with the end of an event, to be written with the next `flush`."""
        self._pending.append(event)

    async def make_room(self) -> None:
        """Write what was taken, and let others have a turn: a write that has room does not wait."""
        await self.flush()
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
        if math.isfinite(self._patience):
            self._look_in(self._patience)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # No comment may come after the end of the body.
        self._stop_looking()
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])

    async def _write(self, body: bytes) -> None:
        self._writing = True
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self._writing = False
        self._last = self._loop.time()

    def _look_in(self, seconds: float) -> None:
        self._stop_looking()
        self._timer = self._loop.call_later(seconds, self._look)

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Fill the silence, if there is one by now."""
        left = self._patience - (self._loop.time() - self._last)
        if left > 0:
            self._look_in(left)
        elif self._writing:
            self._look_in(self._patience)
        else:
            self._filling = self._loop.create_task(self._fill())

    async def _fill(self) -> None:
        await self.begin(self._early)
        await self._write(KEEP_ALIVE)
        self._look_in(self._interval)
