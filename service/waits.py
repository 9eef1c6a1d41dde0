"""Bounds the waits of a stream with one timer, however many waits there are.

`asyncio.timeout` makes and cancels a timer for each wait. A stream waits for each of its events, in
two places, and those timers cost more than all else that is done for the event.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class TooLate(Exception):
    """The time was over before what was waited for came."""


class Waits:
    """Bounds one wait after another; made within the running loop.

    Each wait is a `with` block, which the caller's own task is cancelled out of, as by
    `asyncio.timeout`; it then ends with `TooLate`. The timer is that of the wait it was set for. If
    another has begun when it fires, it is set anew; `close` takes the last one back.

    Args:
        each: Seconds that one wait may take.
        until: When all waits end, on the loop's clock. One of the two is given, or both.
    """

    __slots__ = (
        "_cancelling",
        "_due",
        "_each",
        "_expired",
        "_loop",
        "_timer",
        "_until",
        "_waiting",
    )

    def __init__(self, *, each: float = inf, until: float = inf) -> None:
        self._loop = asyncio.get_running_loop()
        self._each = each
        self._until = until
        self._due = until
        self._waiting: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise AssertionError("runs within a task")
        self._waiting = task
        self._cancelling = task.cancelling()
        if self._each < inf:
            self._due = min(self._loop.time() + self._each, self._until)
        if self._timer is None:
            self._timer = self._loop.call_at(self._due, self._look)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._waiting = self._waiting, None
        if not self._expired or task is None:
            return
        self._expired = False
        is_ours = task.uncancel() == self._cancelling
        if is_ours and isinstance(error, asyncio.CancelledError):
            raise TooLate from None

    def close(self) -> None:
        """Let the timer go; nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._look)
        else:
            self._expired = True
            self._waiting.cancel()
