from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from service.waits import TooLate, Waits

pytestmark = pytest.mark.anyio

SOON = 0.02
NEVER = 60.0


@pytest.fixture
async def now():
    return asyncio.get_running_loop().time()


async def wait(waits, awaitable):
    with waits:
        return await awaitable


async def test_what_comes_in_time_is_returned(now):
    with closing(Waits(each=NEVER, until=now + NEVER)) as waits:
        assert await wait(waits, asyncio.sleep(0, "first")) == "first"
        assert await wait(waits, asyncio.sleep(0, "second")) == "second"


@pytest.mark.parametrize("bound", ["each", "until"])
async def test_what_comes_too_late_is_cancelled(bound, now):
    cancelled = asyncio.Event()

    async def late():
        try:
            await asyncio.sleep(NEVER)
        finally:
            cancelled.set()

    times = {bound: SOON if bound == "each" else now + SOON}
    with closing(Waits(**times)) as waits, pytest.raises(TooLate):
        await wait(waits, late())
    assert cancelled.is_set()


async def test_each_wait_has_its_own_time():
    with closing(Waits(each=4 * SOON)) as waits:
        for _ in range(6):
            await wait(waits, asyncio.sleep(SOON))
        with pytest.raises(TooLate):
            await wait(waits, asyncio.sleep(NEVER))


async def test_time_between_two_waits_counts_for_the_deadline_alone(now):
    with closing(Waits(each=SOON)) as waits:
        await wait(waits, asyncio.sleep(0))
        await asyncio.sleep(3 * SOON)
        await wait(waits, asyncio.sleep(0))
    with closing(Waits(until=now + SOON)) as waits:
        await wait(waits, asyncio.sleep(0))
        await asyncio.sleep(3 * SOON)
        with pytest.raises(TooLate):
            await wait(waits, asyncio.sleep(NEVER))


async def test_the_task_can_go_on_after_a_time_out():
    task = asyncio.current_task()
    with closing(Waits(each=SOON)) as waits:
        for _ in range(2):
            with pytest.raises(TooLate):
                await wait(waits, asyncio.sleep(NEVER))
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancellation_from_outside_stays_one():
    with closing(Waits(each=NEVER)) as waits:
        task = asyncio.create_task(wait(waits, asyncio.sleep(NEVER)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_cancellation_from_outside_wins_over_the_time_out():
    async def late():
        try:
            await asyncio.sleep(NEVER)
        except asyncio.CancelledError:
            task.cancel()
            raise

    with closing(Waits(each=SOON)) as waits:
        task = asyncio.create_task(wait(waits, late()))
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_cancellation_from_outside_stays_one_after_a_time_out():
    async def two_waits():
        with pytest.raises(TooLate):
            await wait(waits, asyncio.sleep(NEVER))
        timed_out.set()
        with waits:
            await asyncio.sleep(NEVER)

    timed_out = asyncio.Event()
    with closing(Waits(each=SOON)) as waits:
        task = asyncio.create_task(two_waits())
        await timed_out.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_comes_in_spite_of_the_time_out_is_returned():
    async def stubborn():
        try:
            await asyncio.sleep(NEVER)
        except asyncio.CancelledError:
            return "here"

    task = asyncio.current_task()
    with closing(Waits(each=SOON)) as waits:
        assert await wait(waits, stubborn()) == "here"
    assert task.cancelling() == 0


async def test_a_time_out_of_what_is_waited_for_is_its_own():
    async def fail():
        raise TimeoutError

    with closing(Waits(each=NEVER)) as waits, pytest.raises(TimeoutError):
        await wait(waits, fail())


async def test_after_close_nothing_fires(now):
    waits = Waits(until=now + SOON)
    await wait(waits, asyncio.sleep(0))
    waits.close()
    await asyncio.sleep(3 * SOON)
