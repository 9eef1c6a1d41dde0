from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from service.openai_http.eager import EagerReader

pytestmark = pytest.mark.anyio


class Gate:
    """A source that gives what it has, and waits where it is told to."""

    def __init__(self):
        self.log = []
        self.open = asyncio.Event()

    async def events(self, *script):
        try:
            for step in script:
                if step is ...:
                    await self.open.wait()
                elif step is None:
                    await asyncio.sleep(0)
                elif callable(step):
                    step()
                else:
                    yield step
        except BaseException as error:
            self.log.append(type(error))
            raise
        finally:
            await asyncio.sleep(0)
            self.log.append("closed")

    async def flush(self):
        self.log.append("flush")
        await asyncio.sleep(0)
        self.open.set()


async def drain(gate, *script):
    async with aclosing(gate.events(*script)) as events:
        reader = EagerReader(events, gate.flush)
        while (event := await reader) is not None:
            gate.log.append(event)


async def test_what_is_there_is_taken_without_a_pause():
    gate = Gate()
    await drain(gate, "a", "b", ..., "c", "d", None, "e")
    assert gate.log == ["a", "b", "flush", "c", "d", "flush", "e", "flush", "closed"]


async def test_an_empty_source_ends():
    gate = Gate()
    await drain(gate)
    assert gate.log == ["flush", "closed"]


async def test_a_failure_of_the_source_is_raised():
    gate = Gate()
    with pytest.raises(KeyError):
        await drain(gate, "a", ..., lambda: {}["missing"])
    assert gate.log == ["a", "flush", KeyError, "closed"]


async def test_a_source_that_waits_is_cancelled_in_its_own_task():
    gate = Gate()
    flushed = asyncio.Event()

    async def flush():
        flushed.set()

    gate.flush = flush
    task = asyncio.create_task(drain(gate, "a", ...))
    await flushed.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.log == ["a", asyncio.CancelledError, "closed"]


async def test_a_source_that_waits_a_second_time_is_cancelled_there():
    gate = Gate()
    waiting = asyncio.Event()

    async def flush():
        pass

    gate.flush = flush
    task = asyncio.create_task(drain(gate, "a", None, waiting.set, ...))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.log == ["a", asyncio.CancelledError, "closed"]


async def test_a_cancellation_before_the_wait_reaches_the_source():
    gate = Gate()
    flushing = asyncio.Event()

    async def flush():
        flushing.set()
        await asyncio.Event().wait()

    gate.flush = flush
    task = asyncio.create_task(drain(gate, "a", ...))
    await flushing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.log == ["a", asyncio.CancelledError, "closed"]


async def test_a_timeout_of_the_source_that_ends_while_flushing_is_the_source_s():
    async def slow():
        yield "a"
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            yield "late"

    async def flush():
        await asyncio.Event().wait()

    async with aclosing(slow()) as events:
        reader = EagerReader(events, flush)
        assert [await reader, await reader] == ["a", "late"]
