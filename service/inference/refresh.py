"""`CatalogueRefresher`: reads the provider's list of models again and again.

One task, so one reading at a time. The first comes at once, the others after the interval; while
readings fail they come sooner, after a wait that doubles up to the interval. All waits vary by a
tenth, so that processes started together do not stay together.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

import structlog

from service.upstream.errors import UpstreamError, UpstreamMalformed, UpstreamTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.inference.catalogue import Catalogue
    from service.observability.metrics import Metrics
    from service.upstream.payloads import ModelEntry

FIRST_RETRY: Final = 5.0
"""Seconds after which the first failure in a row is followed by another reading."""

READING_TIMEOUT: Final = 60.0
"""Seconds that one reading may take."""

_JITTER: Final = 0.1
_LOGGED_CHARACTERS: Final = 256

_log = structlog.get_logger("service.inference.refresh")


class CatalogueRefresher:
    """Keeps a catalogue up to date; a list that cannot be read leaves it as it is.

    Args:
        fetch: Reads the live list; raises `UpstreamError`.
        catalogue: What to keep up to date.
        metrics: Counts the readings.
        interval: Seconds between two readings that succeed.
        timeout: Seconds that one reading may take.
        sleep: Waits; tests hand in their own.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[list[ModelEntry]]],
        catalogue: Catalogue,
        metrics: Metrics,
        interval: float,
        *,
        timeout: float = READING_TIMEOUT,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._fetch = fetch
        self._catalogue = catalogue
        self._metrics = metrics
        self._interval = interval
        self._timeout = timeout
        self._sleep = sleep

    async def run(self) -> None:
        """Refresh until cancelled; what is not the provider's failure is raised."""
        failures: int | None = None  # in a row; None before the first reading
        while True:
            try:
                await self._refresh()
            except UpstreamError as error:
                self._failed(error, is_news=not failures)
                failures = (failures or 0) + 1
            else:
                self._succeeded(is_news=failures != 0)
                failures = 0
            await self._sleep(_varied(self._pause(failures)))

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                entries = await self._fetch()
        except TimeoutError as late:
            raise UpstreamTimeout("the list of models did not come in time") from late
        if not self._catalogue.replace(entries):
            raise UpstreamMalformed("the list of models has no active one")

    def _succeeded(self, *, is_news: bool) -> None:
        self._metrics.catalogue_refreshes.labels("ok").inc()
        if is_news:
            _log.info("list of models read", listed=len(self._catalogue.models()))
            self._warn_of_unknown()

    def _failed(self, error: UpstreamError, *, is_news: bool) -> None:
        self._metrics.catalogue_refreshes.labels("failed").inc()
        if is_news:
            cause, text = type(error).__name__, str(error)[:_LOGGED_CHARACTERS]
            _log.warning("list of models not read, keeping the last", cause=cause, error=text)

    def _warn_of_unknown(self) -> None:
        names = list(self._catalogue.unknown_allowed())
        if names:
            _log.warning("allowed models that do not exist", names=names)

    def _pause(self, failures: int) -> float:
        if not failures:
            return self._interval
        doublings = min(failures - 1, 16)  # far beyond any interval, and no ever larger number
        return min(self._interval, FIRST_RETRY * (1 << doublings))


def _varied(seconds: float) -> float:
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # not a secret
