from __future__ import annotations

import asyncio

import pytest

from service.simulator.traffic import MAX_PATHS, MAX_SEEN, Exchange, Traffic

pytestmark = pytest.mark.anyio


def exchange(path="/models"):
    return Exchange("GET", path, {}, {})


async def test_counts_follow_the_exchanges():
    traffic = Traffic()
    first, second, third = exchange(), exchange(), exchange("/other")
    for one in (first, second, third):
        traffic.begin(one)
    traffic.end(first, "finished")
    traffic.end(second, "aborted")
    traffic.connected()
    assert traffic.counts() == {
        "open": 1,
        "finished": 1,
        "aborted": 1,
        "connections": 1,
        "paths": {"/models": 2, "/other": 1},
    }


async def test_only_the_first_end_counts():
    traffic = Traffic()
    one = exchange()
    traffic.begin(one)
    traffic.end(one, "finished")
    traffic.end(one, "aborted")
    assert one.state == "finished"
    assert traffic.counts()["aborted"] == 0


async def test_the_record_is_bounded():
    traffic = Traffic()
    for number in range(MAX_SEEN + 10):
        traffic.begin(exchange(f"/{number}"))
    assert len(traffic.seen) == MAX_SEEN
    assert len(traffic.counts()["paths"]) == MAX_PATHS + 1
    assert traffic.counts()["paths"]["other"] == MAX_SEEN + 10 - MAX_PATHS
    assert traffic.counts()["open"] == MAX_SEEN + 10


async def test_waiting_ends_when_the_predicate_holds():
    traffic = Traffic()
    one = exchange()
    traffic.begin(one)
    waiting = asyncio.create_task(traffic.until(lambda: one.state == "finished", 5))
    await asyncio.sleep(0)
    assert not waiting.done()
    traffic.end(one, "finished")
    await waiting


async def test_waiting_is_bounded():
    with pytest.raises(TimeoutError):
        await Traffic().until(lambda: False, 0.01)
