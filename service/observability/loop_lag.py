"""How late the event loop runs its timers: the first sign of work that blocks it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.observability.metrics import Metrics

INTERVAL: Final = 0.5
"""Seconds between two samples."""


async def sample_loop_lag(metrics: Metrics, interval: float = INTERVAL) -> None:
    """Observe the lag of one timer after another, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        metrics.loop_lag_seconds.observe(max(0.0, loop.time() - due))
