from __future__ import annotations

import asyncio

import pytest

from service.openai_http.sse import KEEP_ALIVE
from service.openai_http.writer import PENDING_LIMIT, StreamWriter

pytestmark = pytest.mark.anyio


class Client:
    """Receives what is sent; may stop reading."""

    def __init__(self):
        self.bodies = []
        self.came = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message):
        await self.reads.wait()
        assert message["type"] == "http.response.body"
        assert message["more_body"]
        self.bodies.append(message["body"])
        self.came.set()

    async def next_body(self):
        self.came.clear()
        async with asyncio.timeout(5):
            await self.came.wait()
        return self.bodies[-1]


@pytest.fixture
def client():
    return Client()


async def test_events_are_written_together(client):
    async with StreamWriter(client.send, 60) as out:
        await out.add(b"a")
        await out.add(b"b")
        assert client.bodies == []
        await out.flush()
        await out.flush()
        await out.add(b"c")
    assert client.bodies == [b"ab"]
    assert out.take() == b"c"


async def test_a_source_that_never_waits_is_written_in_pieces_and_lets_others_run(client):
    ran = []
    async with StreamWriter(client.send, 60) as out:
        asyncio.get_running_loop().call_soon(ran.append, True)
        for _ in range(PENDING_LIMIT):
            await out.add(b"x")
    assert client.bodies == [b"x" * PENDING_LIMIT]
    assert ran


async def test_silence_carries_comments(client):
    async with StreamWriter(client.send, 0.01) as out:
        assert await client.next_body() == KEEP_ALIVE
        assert await client.next_body() == KEEP_ALIVE
        await out.add(b"a")
        await out.flush()
        assert b"a" in client.bodies
        assert await client.next_body() == KEEP_ALIVE


async def test_a_stream_that_is_not_silent_carries_none(client):
    async with StreamWriter(client.send, 0.2) as out:
        for _ in range(30):
            await out.add(b"a")
            await out.flush()
            await asyncio.sleep(0.01)
    assert set(client.bodies) == {b"a"}


async def test_a_client_that_does_not_read_gets_no_comments(client):
    async with StreamWriter(client.send, 0.01) as out:
        client.reads.clear()
        await out.add(b"a")
        writing = asyncio.create_task(out.flush())
        await asyncio.sleep(0.1)
        client.reads.set()
        await writing
        assert client.bodies == [b"a"]


async def test_nothing_is_written_after_the_end(client):
    async with StreamWriter(client.send, 0.01):
        await client.next_body()
    written = len(client.bodies)
    await asyncio.sleep(0.05)
    assert len(client.bodies) == written
