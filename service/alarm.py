"""One timer for one time-out after another, of which nearly none passes.

To set a timer and to take it back costs a microsecond. A connection has a time-out for each head and
each body, so a timer stays what it was set for; if it fires early, it is set anew.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Alarm:
    """Does something when its time has come, unless it is set anew or cleared before.

    `close` takes the last timer back.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._then: Callable[[], None] | None = None
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._fires = inf

    @property
    def is_set(self) -> bool:
        """Whether something is to be done."""
        return self._then is not None

    def set(self, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` in so many seconds, instead of what was set before."""
        self._then = then
        self._due = self._loop.time() + seconds
        if self._due < self._fires:
            self._set_timer()

    def clear(self) -> None:
        """Do nothing."""
        self._then = None

    def close(self) -> None:
        """Do nothing, and let the timer go."""
        self._then = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._fires = inf

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._look)
        self._fires = self._due

    def _look(self) -> None:
        self._timer = None
        self._fires = inf
        if self._then is None:
            return
        if self._loop.time() < self._due:
            self._set_timer()
        else:
            then, self._then = self._then, None
            then()
