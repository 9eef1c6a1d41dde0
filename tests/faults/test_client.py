"""The fault matrix, the client's side."""

from __future__ import annotations

import asyncio
import resource
import uuid
from contextlib import asynccontextmanager

import pytest

from service.http_protocol import BoundedHttpProtocol
from service.simulator import Simulator
from tests.faults.checks import check, check_nothing_leaks
from tests.faults.deeds import CLIENT_DEEDS, LIMITED, cells, ids
from tests.faults.doors import ask, ask_grpc, read_grpc, rpc
from tests.faults.ledger import SOON, kept
from tests.faults.matrix import Case, Column, Whole
from tests.faults.raw import FLOOD_LIMIT, PIECE, RawProvider
from tests.faults.wire import HttpCaller, call, request

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CASES = cells(CLIENT_DEEDS)
SPLIT_CASES = cells(CLIENT_DEEDS, split=True)
CROWD = 500


@pytest.mark.parametrize(("deed", "column"), CASES, ids=ids(CASES))
async def test_in_one_process(street, house, monkeypatch, deed, column):
    act = Act(street, house, monkeypatch, split=False)
    await getattr(act, deed.name.replace("-", "_"))(column)


@pytest.mark.parametrize(("deed", "column"), SPLIT_CASES, ids=ids(SPLIT_CASES))
async def test_in_two_processes(street, house, monkeypatch, deed, column):
    act = Act(street, house, monkeypatch, split=True)
    await getattr(act, deed.name.replace("-", "_"))(column)


class Act:
    """What the client of each row does, and what must come of it."""

    def __init__(self, street, house, monkeypatch, *, split):
        self._street = street
        self._house = house
        self._monkeypatch = monkeypatch
        self._split = split

    async def leaves_before_head(self, column):
        async with self._left(column, "[[fault:hang]]") as ledger:
            pass
        assert ledger.added("onemin_tokens_total") == 0

    async def leaves_before_first_token(self, column):
        async with self._left(column, "[[fault:first-byte:60]]") as ledger:
            pass
        assert ledger.added("onemin_tokens_total") == 0

    async def leaves_midway(self, column):
        async with self._left(column, "[[fault:stall:4]]") as ledger:
            await ledger.caller.read_until(b"2")
        assert ledger.added("onemin_tokens_total", kind="completion") > 0

    async def leaves_after_the_last(self, column):
        async with self._kept() as (house, key, ledger):
            answer = await ask(column, house, key)
        check(column, Case("", Whole()), answer)
        check_counted_once(ledger, column, "OK", [request.state for request in ledger.requests])

    async def reads_slowly(self, column):
        async with RawProvider().running() as provider, self._house(provider) as house:
            key = new_key()
            caller = await call(column, house, key, "[[raw:flood]]")
            async with asyncio.timeout(SOON):
                await provider.blocked.wait()
            assert provider.written < FLOOD_LIMIT
            text = await all_text(column, caller)
            assert text == PIECE * provider.pieces

    async def sends_slowly(self, column):
        async with self._kept() as (house, key, ledger):
            caller = await HttpCaller.open(house)
            head, body = request(key, stream=column.is_streamed)
            caller.send(head)
            for start in range(0, len(body), 8):
                caller.send(body[start : start + 8])
                await asyncio.sleep(0.01)
            answer = await caller.read_all()
        check(column, Case("", Whole()), answer)
        check_counted_once(ledger, column, "OK", ["finished"])

    async def sends_too_slowly(self, column):
        self._monkeypatch.setattr(BoundedHttpProtocol, "body_timeout", 0.3)
        async with self._kept() as (house, key, ledger):
            caller = await HttpCaller.open(house)
            head, body = request(key, stream=column.is_streamed)
            caller.send(head + body[:10])
            answer = await caller.read_all()
        assert (answer.status, answer.error["type"]) == (408, "invalid_request_error")
        assert answer.headers["connection"] == "close"
        assert ledger.added("onemin_calls_total") == 0
        assert ledger.requests == []

    async def half_closes(self, column):
        fault = "[[fault:stall:4]]" if column.is_after else "[[fault:hang]]"
        async with self._left(column, fault, leave=HttpCaller.half_close) as ledger:
            if column.is_after:
                await ledger.caller.read_until(b"2")

    async def deadline(self, column):
        fault = "[[fault:stall:4]]" if column.is_after else "[[fault:hang]]"
        async with self._kept() as (house, key, ledger):
            rpc_ = rpc(house, key, fault, stream=column.is_streamed, seconds=2)
            answer = await read_grpc(rpc_, stream=column.is_streamed)
            await ledger.ended("onemin_calls_total")
        assert answer.code == "DEADLINE_EXCEEDED"
        assert any(message.HasField("delta") for message in answer.messages) is column.is_after
        check_nothing_leaks(answer.shown(), house, key)
        # The library cancels the handler at the same moment as our own time-out ends it.
        (line,) = ledger.lines("call")
        assert line["reason"] in ("DEADLINE_EXCEEDED", "CANCELLED")
        assert ledger.added("onemin_calls_total") == 1
        assert [request.state for request in ledger.requests] == ["aborted"]

    async def wait_beyond_deadline(self, column):
        fault = "[[fault:rate-limited-retry-after:8]]"
        async with self._kept() as (house, key, ledger):
            answer = await ask_grpc(house, key, fault, stream=column.is_streamed, seconds=5)
        check(column, Case(fault, LIMITED), answer)
        check_counted_once(ledger, column, "RATE_LIMITED", ["finished"])

    async def cancels_500(self, column):
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 5 * CROWD
        crowded = {"max_in_flight": CROWD, "max_in_flight_per_key": CROWD}
        async with (
            Simulator().running() as simulator,
            self._house(simulator, **crowded) as house,
            kept(house, key := new_key()) as ledger,
        ):
            callers = await crowd(column, house, key)
            await simulator.until(lambda: simulator.counts()["open"] == CROWD, SOON)
            assert "Too many calls" in (await ask(column, house, new_key())).shown()
            await asyncio.gather(*(caller.leave() for caller in callers))
            await simulator.until(lambda: simulator.counts()["aborted"] == CROWD, SOON)
            await ledger.ended("onemin_calls_total", CROWD + 1)
            for answer in await asyncio.gather(*(ask(column, house, key) for _ in range(50))):
                check(column_of_whole(column), Case("", Whole()), answer)
        assert ledger.added("onemin_calls_total", reason="CANCELLED") == CROWD
        assert ledger.added("onemin_calls_total", reason="OK") == 50
        assert ledger.in_flight == 0

    @asynccontextmanager
    async def _kept(self):
        house = await self._street.house("patient", split=self._split)
        key = new_key()
        async with kept(house, key) as ledger:
            yield house, key, ledger
        assert key not in str(ledger.logs)

    @asynccontextmanager
    async def _left(self, column, faults, leave=None):
        """Begin a call, then leave it: it must be cancelled everywhere, and counted as that."""
        async with self._kept() as (house, key, ledger):
            ledger.caller = await call(column, house, key, faults)
            await ledger.until(lambda: ledger.requests, closed=False)
            yield ledger
            await (leave or type(ledger.caller).leave)(ledger.caller)
            processes = len(house.gateways) if column.is_http else 1
            await ledger.ended("onemin_calls_total", processes)
        check_counted_once(ledger, column, "CANCELLED", ["aborted"], processes)


async def crowd(column, house, key):
    calls = (call(column, house, key, "[[fault:hang]]") for _ in range(CROWD))
    return await asyncio.gather(*calls)


def new_key():
    return f"sk-{uuid.uuid4().hex}"


def check_counted_once(ledger, column, reason, states, processes=1):
    assert ledger.added("onemin_calls_total") == processes
    assert ledger.added("onemin_calls_total", method=column.method, reason=reason) == processes
    assert ledger.added("onemin_calls_total", protocol=column.protocol) == 1
    assert [line["reason"] for line in ledger.lines("call")] == [reason] * processes
    assert ledger.in_flight == 0
    assert [request.state for request in ledger.requests] == states


def column_of_whole(column):
    """Return where a whole answer to the same call belongs."""
    return {Column.HTTP_BEFORE: Column.HTTP_AFTER, Column.GRPC_BEFORE: Column.GRPC_AFTER}.get(
        column, column
    )


async def all_text(column, caller):
    if not column.is_http:
        return await caller.read_text()
    answer = await caller.read_all()
    *chunks, done = answer.events()
    assert (answer.status, done) == (200, "data: [DONE]")
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
