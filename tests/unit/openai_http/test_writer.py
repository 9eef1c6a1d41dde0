from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from service.openai_http.sse import KEEP_ALIVE
from service.openai_http.writer import PENDING_LIMIT, Silence, StreamWriter

pytestmark = pytest.mark.anyio


class Client:
    """Receives what is sent; may stop reading."""

    def __init__(self):
        self.heads = []
        self.bodies = []
        self.came = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message):
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.heads.append((message["status"], message["headers"]))
        else:
            assert self.heads
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


EARLY = [(b"early", b"true")]
LATE = [(b"early", b"false")]


@asynccontextmanager
async def opened(client, interval):
    async with StreamWriter(client.send, Silence(interval), EARLY) as out:
        await out.begin(LATE)
        yield out


async def test_events_are_written_together(client):
    async with opened(client, 60) as out:
        out.add(b"a")
        out.add(b"b")
        assert client.bodies == []
        await out.flush()
        await out.flush()
        out.add(b"c")
    assert client.bodies == [b"ab"]
    assert out.take() == b"c"


async def test_a_full_writer_writes_and_lets_others_run(client):
    ran = []
    async with opened(client, 60) as out:
        asyncio.get_running_loop().call_soon(ran.append, "ran")
        for _ in range(PENDING_LIMIT):
            assert not out.is_full
            out.add(b"x")
        assert out.is_full
        await out.make_room()
        assert not out.is_full
    assert client.bodies == [b"x" * PENDING_LIMIT]
    assert ran


async def test_silence_carries_comments(client):
    async with opened(client, 0.01) as out:
        assert await client.next_body() == KEEP_ALIVE
        assert await client.next_body() == KEEP_ALIVE
        out.add(b"a")
        await out.flush()
        assert b"a" in client.bodies
        assert await client.next_body() == KEEP_ALIVE


async def test_a_silence_that_begins_later_carries_a_comment_too(client):
    async with opened(client, 0.2) as out:
        await asyncio.sleep(0.1)
        out.add(b"a")
        await out.flush()
        assert await client.next_body() == KEEP_ALIVE


async def test_a_stream_that_is_not_silent_carries_none(client):
    async with opened(client, 0.2) as out:
        for _ in range(30):
            out.add(b"a")
            await out.flush()
            await asyncio.sleep(0.01)
    assert set(client.bodies) == {b"a"}


async def test_a_client_that_does_not_read_gets_no_comments(client):
    async with opened(client, 0.01) as out:
        client.reads.clear()
        out.add(b"a")
        writing = asyncio.create_task(out.flush())
        await asyncio.sleep(0.1)
        client.reads.set()
        await writing
        assert client.bodies == [b"a"]


async def test_nothing_is_written_after_the_end(client):
    async with opened(client, 0.01):
        await client.next_body()
    assert await _written_later(client) == [KEEP_ALIVE]


async def test_nothing_is_written_after_an_end_before_any_silence(client):
    async with opened(client, 0.01):
        pass
    assert await _written_later(client) == []


async def test_a_comment_that_is_on_its_way_at_the_end_is_not_written(client):
    async with opened(client, 0.01):
        client.reads.clear()
        await asyncio.sleep(0.1)
    assert await _written_later(client) == []


async def _written_later(client):
    client.reads.set()
    await asyncio.sleep(0.05)
    return client.bodies


async def test_nothing_is_written_before_the_head(client):
    async with StreamWriter(client.send, Silence(0.01), EARLY) as out:
        await asyncio.sleep(0.1)
        assert not out.begun
        assert (client.heads, client.bodies) == ([], [])


async def test_a_head_that_is_late_is_sent_early_and_followed_by_comments(client):
    async with StreamWriter(client.send, Silence(0.01, early_head_after=0.01), EARLY) as out:
        assert await client.next_body() == KEEP_ALIVE
        assert await client.next_body() == KEEP_ALIVE
        assert out.begun
        await out.begin(LATE)
    assert client.heads == [(200, EARLY)]


async def test_a_head_that_is_in_time_is_the_only_one(client):
    async with StreamWriter(client.send, Silence(60, early_head_after=0.01), EARLY) as out:
        await out.begin(LATE)
        await asyncio.sleep(0.1)
    assert (client.heads, client.bodies) == ([(200, LATE)], [])


async def test_a_head_that_is_on_its_way_is_not_sent_again(client):
    async with StreamWriter(client.send, Silence(60, early_head_after=0.01), EARLY) as out:
        client.reads.clear()
        await asyncio.sleep(0.1)
        beginning = asyncio.create_task(out.begin(LATE))
        await asyncio.sleep(0)
        client.reads.set()
        await beginning
        assert client.heads == [(200, EARLY)]


async def test_a_head_that_never_got_out_is_not_begun(client):
    client.reads.clear()
    async with StreamWriter(client.send, Silence(60, early_head_after=0.01), EARLY) as out:
        await asyncio.sleep(0.1)
    assert not out.begun
