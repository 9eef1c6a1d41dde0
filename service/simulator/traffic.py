"""What the simulator has seen: a bounded record of exchanges, and a way to wait for it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_SEEN = 1_000
MAX_KEPT_BODY = 1024 * 1024
"""Larger request bodies are not kept, so that the record stays bounded in bytes, too."""

MAX_PATHS = 100

State = Literal["open", "finished", "aborted"]


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and how far its answer came.

    `state` is `open` until the simulator has sent all it meant to send (`finished`, also when
    that was half an answer and a reset) or the connection ended before (`aborted`: the client
    left, or the simulator was stopped). `headers` ignores case. `body` is the parsed JSON, or
    None when there was none, it was not JSON, or it was larger than `MAX_KEPT_BODY`.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    state: State = "open"


@dataclass(slots=True)
class Traffic:
    """All exchanges since the start: the last `MAX_SEEN` themselves, the rest as counts."""

    seen: deque[Exchange] = field(default_factory=lambda: deque(maxlen=MAX_SEEN))
    connections: int = 0
    _states: Counter[State] = field(default_factory=Counter)
    _paths: Counter[str] = field(default_factory=Counter)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def connected(self) -> None:
        """Count a TCP connection."""
        self.connections += 1

    def begin(self, exchange: Exchange) -> None:
        """Record the start of an exchange."""
        self.seen.append(exchange)
        self._states["open"] += 1
        known = exchange.path in self._paths or len(self._paths) < MAX_PATHS
        self._paths[exchange.path if known else "other"] += 1
        self._announce()

    def end(self, exchange: Exchange, state: State) -> None:
        """Record the end of an exchange; only the first end counts."""
        if exchange.state == "open":
            exchange.state = state
            self._states["open"] -= 1
            self._states[state] += 1
            self._announce()

    async def until(
        self,
        predicate: Callable[[], object],
        timeout: float,  # noqa: ASYNC109  # the callers are tests, and read better with it
    ) -> None:
        """Wait until `predicate()` is true; it is asked again whenever an exchange changes.

        Raises:
            TimeoutError: it was not true within `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while not predicate():
                await self._changed.wait()

    def counts(self) -> dict[str, Any]:
        """Return the totals since the start, as `GET /_simulator/state` shows them."""
        return {
            "open": self._states["open"],
            "finished": self._states["finished"],
            "aborted": self._states["aborted"],
            "connections": self.connections,
            "paths": dict(self._paths),
        }

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
