from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from service.stages import BATCH, PATIENCE, Stage, Stages

pytestmark = pytest.mark.anyio

FIRST, SECOND, THIRD = list(Stage)[:3]


@pytest.fixture
def stages():
    return Stages()


async def ready():
    """Let what is ready to run reach its next wait."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_calls_come_up_to_the_same_stage_before_one_goes_on(stages):
    seen = []

    async def call(name):
        for stage in Stage:
            seen.append((stage, name))
            await stages.reach(stage)

    await asyncio.gather(*map(call, "abc"))
    assert seen == [(stage, name) for stage in Stage for name in "abc"]


async def test_one_that_is_behind_is_waited_for_by_fewer_ahead(stages):
    """The fullest stage goes first: who goes on joins who waits further on."""
    seen = []

    async def call(name, *way):
        for stage in way:
            await stages.reach(stage)
            seen.append((stage, name))

    await asyncio.gather(call("ahead", SECOND), *(call(name, FIRST, SECOND) for name in "ab"))
    assert seen[:2] == [(FIRST, "a"), (FIRST, "b")]
    assert seen[2:] == [(SECOND, "ahead"), (SECOND, "a"), (SECOND, "b")]


async def test_of_stages_that_fill_a_batch_the_furthest_goes_first(stages):
    went = []

    async def call(stage):
        await stages.reach(stage)
        went.append(stage)

    crowds = [FIRST] * 2 * BATCH + [THIRD] * BATCH + [SECOND] * BATCH
    await asyncio.gather(*map(call, crowds))
    assert went == [THIRD] * BATCH + [SECOND] * BATCH + [FIRST] * 2 * BATCH


@pytest.mark.parametrize("calls", [1, BATCH, BATCH + 1, 3 * BATCH])
async def test_a_batch_is_bounded_and_all_go_on_in_the_order_they_came(stages, calls):
    went = []

    async def call(number):
        await stages.reach(FIRST)
        went.append(number)

    tasks = [asyncio.create_task(call(number)) for number in range(calls)]
    sizes = [0]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        sizes.append(len(went))
    assert went == list(range(calls))
    assert max(after - before for before, after in pairwise(sizes)) == min(calls, BATCH)


@pytest.mark.parametrize("crowded", [[FIRST], [FIRST, SECOND], [SECOND, *list(Stage)[3:]]])
async def test_a_stage_that_is_passed_over_has_its_turn(stages, crowded):
    """However many come up to other stages, for ever."""
    went = Counter()

    async def endless(stage):
        while True:
            await stages.reach(stage)
            went[stage] += 1

    async def one():
        before = went.total()
        await stages.reach(THIRD)
        return went.total() - before

    crowd = [asyncio.create_task(endless(stage)) for stage in crowded for _ in range(BATCH)]
    await ready()
    async with asyncio.timeout(5):
        passed = await one()
    for task in crowd:
        task.cancel()
    await asyncio.wait(crowd)
    assert passed <= (PATIENCE + len(Stage)) * BATCH


async def test_a_call_that_is_cancelled_while_it_waits_holds_nobody_up(stages):
    async def call():
        await stages.reach(FIRST)

    cancelled, other = asyncio.create_task(call()), asyncio.create_task(call())
    await asyncio.sleep(0)
    cancelled.cancel()
    async with asyncio.timeout(5):
        await other
    assert cancelled.cancelled()


async def test_nothing_runs_while_no_call_waits_and_it_begins_again(stages, monkeypatch):
    batches = []
    go_on = stages._go_on
    monkeypatch.setattr(stages, "_go_on", lambda loop: (batches.append(loop), go_on(loop)))
    for _ in range(2):
        async with asyncio.timeout(5):
            await stages.reach(FIRST)
        await ready()
        seen = len(batches)
        await ready()
        assert len(batches) == seen
