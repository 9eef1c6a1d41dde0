"""`Relay`: how events of the port become writes."""

from __future__ import annotations

import asyncio

import pytest

from service.openai_http.exchange import Exchange
from service.openai_http.sse import ChunkWriter
from service.openai_http.stream import Relay
from service.openai_http.writer import PENDING_LIMIT, Silence, StreamWriter
from tests.contract.scripted import completed, delta, watched_stream
from tests.unit.openai_http.conftest import opened

pytestmark = pytest.mark.anyio


class Client:
    """Takes every message at once; notes bodies, by the number of their events."""

    def __init__(self):
        self.events = []

    async def send(self, message):
        if message["type"] == "http.response.body":
            self.events.append(message["body"].count(b"data: "))


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def relay(client):
    async def run(events):
        async with StreamWriter(client.send, Silence(60), []) as out:
            await Relay(events, out, Exchange("the-id")).run(begin)
            client.events.append(out.take().count(b"data: "))

    return run


def begin(started):
    return [], ChunkWriter(started, started.model, include_usage=False)


@pytest.mark.parametrize("at_once", [1, 48, 3 * PENDING_LIMIT])
async def test_a_source_that_never_waits_is_written_in_pieces_and_lets_others_run(
    relay, client, at_once
):
    turns = []

    def take_turn():
        turns.append(len(client.events))
        asyncio.get_running_loop().call_soon(take_turn)

    async def events():
        take_turn()
        yield [opened()]
        for _ in range(3 * PENDING_LIMIT // at_once):
            yield [delta("x")] * at_once
        yield [completed()]

    await relay(events())
    assert client.events == [PENDING_LIMIT, PENDING_LIMIT, PENDING_LIMIT, 3]
    assert turns == [0, 1, 2, 3]


WAITS = {
    "never": ([], [7]),
    "before the first text": ([0], [1, 6]),
    "between texts": ([1, 3], [2, 2, 3]),
    "before each": ([0, 1, 2, 3], [1, 1, 1, 1, 3]),
}


@pytest.mark.parametrize(("waits", "written"), WAITS.values(), ids=WAITS)
async def test_what_is_there_is_written_before_the_source_is_waited_for(
    relay, client, waits, written
):
    """The role comes first, then four texts, then the finish and the mark of the end."""

    async def events():
        yield [opened()]
        for number in range(4):
            if number in waits:
                await asyncio.sleep(0)
            yield [delta("x")]
        yield [completed()]

    await relay(events())
    assert client.events == written


async def test_what_was_written_is_let_go_of_while_the_source_waits(relay):
    kept = []
    await relay(watched_stream(opened(), kept))
    assert kept == [None]


async def test_a_bug_closes_the_source_in_the_task_that_reads_it(client):
    closed_by = []

    async def events():
        try:
            yield [opened()]
            yield [completed()]
        finally:
            closed_by.append(asyncio.current_task())

    def fail(_started):
        raise ZeroDivisionError

    async with StreamWriter(client.send, Silence(60), []) as out:
        reading = asyncio.create_task(Relay(events(), out, Exchange("the-id")).run(fail))
        with pytest.raises(ZeroDivisionError):
            await reading
    assert closed_by == [reading]
