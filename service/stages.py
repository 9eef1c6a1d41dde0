"""Lets the calls that are in flight go on stage by stage, side by side.

Theory of operation
-------------------
A call runs through far more code than the processor's first caches hold, and counting its tokens
drives out what they held. Among calls that are elsewhere it finds them cold at every step, and what
it does costs twice of what it costs alone. So calls wait for each other where a stage begins and go
on as a batch: the first one fetches the code, and the others find it. With 32 in flight a whole
answer takes three quarters of the CPU.

*Which stage goes on* is that where most calls wait, and of several that fill a batch the furthest, so
that calls which were begun come to their end. Calls that go on together arrive together, and take
along who waits there: batches grow as long as there is work. Nobody waits for what may not come:
while calls wait, some go on. A stage that was passed over `PATIENCE` times goes before all others.

*A batch* is bounded by `BATCH`: the event loop looks at its sockets between two of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto
from typing import Final

BATCH: Final = 16
"""Calls that go on together. Eight save half as much; more than sixteen, next to nothing more."""

PATIENCE: Final = 16
"""How many batches of others a stage lets pass before it goes on, however few wait there."""


class Stage(Enum):
    """The stages of a call, by what has been done when they begin.

    A stream takes part in the first two and the last: none of them delays a text that has come.
    """

    DECODED = auto()
    CHECKED = auto()
    PROMPTED = auto()
    ANSWERED = auto()
    COUNTED = auto()
    SERVED = auto()
    SENT = auto()


class Stages:
    """The calls that wait for their turn, within one event loop."""

    def __init__(self) -> None:
        # The furthest first: of equals, `max` takes the first.
        self._lines = {stage: _Line() for stage in reversed(Stage)}
        self._is_going = False

    def reach(self, stage: Stage) -> asyncio.Future[None]:
        """Return what is to be awaited before a call goes on with `stage`."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._lines[stage].turns.append(turn)
        if not self._is_going:
            self._is_going = True
            loop.call_soon(self._go_on, loop)
        return turn

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let a batch go on; what it does comes before the next batch is chosen."""
        waiting = [line for line in self._lines.values() if line.turns]
        for line in waiting:
            line.passed_over += 1
        max(waiting, key=_Line.urgency).go_on()
        self._is_going = any(line.turns for line in waiting)
        if self._is_going:
            loop.call_soon(self._go_on, loop)


class _Line:
    """The calls that wait for one stage, first come first served."""

    def __init__(self) -> None:
        self.turns: deque[asyncio.Future[None]] = deque()
        self.passed_over = 0

    def urgency(self) -> tuple[bool, int]:
        return self.passed_over > PATIENCE, min(len(self.turns), BATCH)

    def go_on(self) -> None:
        self.passed_over = 0
        for _ in range(min(BATCH, len(self.turns))):
            turn = self.turns.popleft()
            if not turn.done():  # a call may be cancelled while it waits
                turn.set_result(None)
