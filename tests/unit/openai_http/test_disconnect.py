from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from service.openai_http.disconnect import ClientDisconnected, WhileConnected

pytestmark = pytest.mark.anyio


class Client:
    """What `receive` tells of a client."""

    def __init__(self):
        self.left = asyncio.Event()
        self.messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self):
        if self.messages:
            return self.messages.pop()
        await self.left.wait()
        return {"type": "http.disconnect"}


async def test_work_that_ends_is_left_alone():
    async with WhileConnected(Client().receive):
        await asyncio.sleep(0)


async def test_work_is_cancelled_in_its_own_task_when_the_client_leaves():
    client = Client()
    seen = []

    async def work():
        async with WhileConnected(client.receive):
            client.left.set()
            try:
                await asyncio.Event().wait()
            finally:
                seen.append(asyncio.current_task())

    with pytest.raises(ClientDisconnected):
        await work()
    assert seen == [asyncio.current_task()]
    assert asyncio.current_task().cancelling() == 0


async def test_an_error_of_the_work_is_raised():
    with pytest.raises(KeyError):
        async with WhileConnected(Client().receive):
            raise KeyError


async def test_a_cancellation_from_elsewhere_stays_one():
    client = Client()
    began = asyncio.Event()

    async def work():
        async with WhileConnected(client.receive):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_both_at_once_are_a_cancellation():
    client = Client()
    began = asyncio.Event()

    async def work():
        async with WhileConnected(client.receive):
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                asyncio.current_task().cancel()

    task = asyncio.create_task(work())
    await began.wait()
    client.left.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_over_does_not_wait_for_the_collector_of_cycles():
    gc.disable()
    try:
        context = WhileConnected(Client().receive)
        seen = weakref.ref(context)
        async with context:
            await asyncio.sleep(0)  # the watch begins
        del context
        assert seen() is None
    finally:
        gc.enable()


async def test_a_client_that_leaves_as_the_work_ends_is_not_missed_any_more():
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    client = Client()
    async with WhileConnected(client.receive):
        client.left.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert failures == []


async def test_a_client_that_has_left_already_ends_the_work_where_it_waits():
    client = Client()
    client.left.set()
    with pytest.raises(ClientDisconnected):
        async with WhileConnected(client.receive):
            await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0


async def test_a_client_that_has_left_does_not_change_how_work_ends_that_does_not_wait():
    client = Client()
    client.left.set()
    with pytest.raises(KeyError):
        async with WhileConnected(client.receive):
            raise KeyError
    await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0


async def test_a_server_may_let_others_run_before_it_waits():
    client = Client()

    async def receive():
        await asyncio.sleep(0)
        return await client.receive()

    client.left.set()
    with pytest.raises(ClientDisconnected):
        async with WhileConnected(receive), asyncio.timeout(5):
            await asyncio.Event().wait()
