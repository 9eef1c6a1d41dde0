"""What a call leaves behind: metrics, log lines, requests to the provider."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

from structlog.processors import format_exc_info
from structlog.testing import capture_logs

SOON = 20.0


class Ledger:
    """The entries of one call; complete when the context that made it is left.

    Attributes:
        logs: Every line.
        requests: The simulator's records of what the key sent.
    """

    def __init__(self, house, key, before):
        self._house = house
        self._key = key
        self._before = before
        self._added = Counter()
        self.logs = []

    @property
    def requests(self):
        return self._house.requests(self._key)

    def added(self, name, **labels):
        """Return what was added to the samples that have these labels."""
        return sum(
            value
            for (sample, given), value in self._added.items()
            if sample == name and labels.items() <= dict(given).items()
        )

    def lines(self, event):
        return [line for line in self.logs if line["event"] == event]

    async def until(self, predicate, *, closed=True):
        """Wait until `predicate` holds and, unless told otherwise, nothing is open upstream."""
        await self._house.simulator.until(
            lambda: (
                predicate()
                and not (closed and any(request.state == "open" for request in self.requests))
            ),
            SOON,
        )

    async def ended(self, name, count=1):
        """Wait until as many more were counted: a cancellation travels on its own."""
        until = asyncio.get_running_loop().time() + SOON
        await self.close()
        while self.added(name) < count:
            assert asyncio.get_running_loop().time() < until, self.logs
            await asyncio.sleep(0.01)
            await self.close()

    async def close(self):
        after = await self._house.metrics()
        self._added = Counter({key: after[key] - self._before.get(key, 0) for key in after})
        self.in_flight = sum(after[key] for key in after if key[0] == "onemin_in_flight")


@asynccontextmanager
async def kept(house, key):
    """Keep the ledger of what happens within."""
    ledger = Ledger(house, key, await house.metrics())
    with capture_logs([format_exc_info]) as ledger.logs:
        yield ledger
        await ledger.until(lambda: True)
    await ledger.close()
