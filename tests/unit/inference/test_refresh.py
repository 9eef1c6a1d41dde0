from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from service.inference.catalogue import Catalogue
from service.inference.refresh import FIRST_RETRY, CatalogueRefresher
from service.observability.metrics import Metrics
from service.upstream.errors import UpstreamRefused, UpstreamUnavailable
from service.upstream.payloads import ModelEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

INTERVAL = 900.0
LIST = [ModelEntry(id="gpt-4o", title="GPT-4o", owner="openai", active=True)]
NEW = [ModelEntry(id="gpt-9", title="GPT-9", owner="openai", active=True)]
DOWN = UpstreamUnavailable("connection refused", sent=False)
REFUSED = UpstreamRefused(status=500, code="", message="x" * 9999)


class Provider:
    """Plays a script of lists and failures, then keeps the refresher in its next sleep."""

    def __init__(self, *script: list[ModelEntry] | Exception) -> None:
        self.script = list(script)
        self.pauses: list[float] = []
        self.ended = asyncio.Event()
        self.reading = 0
        self.most_at_once = 0

    async def fetch(self) -> list[ModelEntry]:
        self.reading += 1
        self.most_at_once = max(self.most_at_once, self.reading)
        await asyncio.sleep(0)
        self.reading -= 1
        outcome = self.script.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.script:
            self.ended.set()
            await asyncio.Event().wait()


class Refresh:
    """A refresher over a script, its catalogue, metrics and log."""

    def __init__(self, *script: list[ModelEntry] | Exception, allowed: tuple[str, ...] = ()):
        self.provider = Provider(*script)
        self.catalogue = Catalogue.shipped(allowed=allowed, substitutes=True)
        self.metrics = Metrics("test")
        self.log: list[dict[str, object]] = []
        self.refresher = CatalogueRefresher(
            self.provider.fetch,
            self.catalogue,
            self.metrics,
            INTERVAL,
            sleep=self.provider.sleep,
        )

    async def play(self) -> Refresh:
        async with running(self.refresher), asyncio.timeout(5):
            with capture_logs() as self.log:
                await self.provider.ended.wait()
        return self

    def count(self, outcome: str) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "onemin_catalogue_refreshes_total", {"outcome": outcome}
            )
            or 0.0
        )


@asynccontextmanager
async def running(refresher: CatalogueRefresher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(refresher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def about(seconds: float) -> object:
    return pytest.approx(seconds, rel=0.1)


async def test_the_first_reading_comes_before_any_sleep():
    refresh = await Refresh(NEW).play()

    assert [model.id for model in refresh.catalogue.models()] == ["gpt-9"]
    assert refresh.provider.pauses == [about(INTERVAL)]


async def test_each_reading_replaces_the_list():
    refresh = await Refresh(NEW, LIST).play()

    assert [model.id for model in refresh.catalogue.models()] == ["gpt-4o"]
    assert (refresh.count("ok"), refresh.count("failed")) == (2, 0)


async def test_one_reading_at_a_time():
    refresh = await Refresh(LIST, DOWN, LIST, LIST).play()

    assert refresh.provider.most_at_once == 1


async def test_pauses_vary_by_a_tenth():
    refresh = await Refresh(*[LIST] * 40).play()

    assert len(set(refresh.provider.pauses)) > 30
    assert all(pause == about(INTERVAL) for pause in refresh.provider.pauses)


async def test_failures_are_retried_sooner_and_ever_later_up_to_the_interval():
    refresh = await Refresh(*[DOWN] * 30, LIST, DOWN).play()
    pauses = refresh.provider.pauses

    assert pauses[:4] == [about(FIRST_RETRY * factor) for factor in (1, 2, 4, 8)]
    assert all(earlier < later for earlier, later in pairwise(pauses[:8]))
    assert pauses[8:31] == [about(INTERVAL)] * 23
    assert pauses[31] == about(FIRST_RETRY)


@pytest.mark.parametrize("bad", [DOWN, REFUSED, []], ids=["down", "refused", "empty"])
async def test_a_failed_reading_keeps_the_last_list(bad):
    refresh = await Refresh(NEW, bad).play()

    assert [model.id for model in refresh.catalogue.models()] == ["gpt-9"]
    assert (refresh.count("ok"), refresh.count("failed")) == (1, 1)


async def test_only_changes_of_the_outcome_are_logged():
    refresh = await Refresh(LIST, LIST, DOWN, REFUSED, [], LIST, LIST).play()

    assert [(line["log_level"], line["event"]) for line in refresh.log] == [
        ("info", "list of models read"),
        ("warning", "list of models not read, keeping the last"),
        ("info", "list of models read"),
    ]
    assert refresh.log[1]["cause"] == "UpstreamUnavailable"


async def test_a_failure_at_the_start_is_logged_once():
    refresh = await Refresh(REFUSED, DOWN).play()

    assert [line["cause"] for line in refresh.log] == ["UpstreamRefused"]
    assert len(str(refresh.log[0]["error"])) <= 256


async def test_allowed_models_that_nobody_knows_are_logged():
    refresh = await Refresh(NEW, NEW, allowed=("gpt-9", "gtp-4o")).play()

    assert [line["names"] for line in refresh.log if "names" in line] == [["gtp-4o"]]


async def test_a_reading_that_hangs_is_given_up():
    stuck = asyncio.Event()
    refresh = Refresh()
    refresher = CatalogueRefresher(
        stuck.wait,
        refresh.catalogue,
        refresh.metrics,
        INTERVAL,
        timeout=0.01,
        sleep=refresh.provider.sleep,
    )

    async with running(refresher), asyncio.timeout(5):
        await refresh.provider.ended.wait()

    assert refresh.count("failed") == 1


async def test_a_bug_is_raised():
    refresh = Refresh(ValueError("bug"))

    async with running(refresh.refresher) as task, asyncio.timeout(5):
        with pytest.raises(ValueError, match="bug"):
            await task

    assert refresh.count("failed") == 0


async def test_cancelling_ends_it_also_in_the_middle_of_a_reading():
    stuck = asyncio.Event()
    refresh = Refresh()
    refresher = CatalogueRefresher(
        stuck.wait,
        refresh.catalogue,
        refresh.metrics,
        INTERVAL,
    )

    async with running(refresher) as task:
        await asyncio.sleep(0)

    assert task.cancelled()
    assert refresh.count("failed") == 0
