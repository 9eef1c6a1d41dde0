"""Long thinking survives impatient proxies on either door."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest

from service.rpc import server
from tests.faults.checks import check, check_nothing_leaks
from tests.faults.doors import ask_grpc, ask_http
from tests.faults.houses import CHANNEL
from tests.faults.ledger import kept
from tests.faults.matrix import Case, Column, Whole
from tests.faults.provider_rows import BAD_KEY, STALLED, TIMEOUT
from tests.faults.wire import HttpCaller

pytestmark = pytest.mark.anyio

COMMENT = ": keep-alive"
PING_FLOOR = "grpc.http2.min_ping_interval_without_data_ms"


@pytest.fixture
def key():
    return f"sk-{uuid.uuid4().hex}"


@pytest.fixture
async def thinking(street):
    """A gateway that fills silence soon."""
    return await street.house("thinking")


@pytest.fixture(params=[False, True], ids=["all", "split"])
async def early(request, street):
    """A gateway that sends its head early, in one process and in two."""
    return await street.house("early", split=request.param)


def blocks(answer):
    *blocks, rest = answer.body.decode().split("\n\n")
    assert rest == ""
    return blocks


async def test_silence_after_acceptance_carries_comments_between_events(thinking, key):
    answer = await ask_http(thinking, key, "[[fault:slow:0.12]]", stream=True)
    check(Column.HTTP_AFTER, Case("", Whole()), answer)
    found = blocks(answer)
    comments = [place for place, block in enumerate(found) if block == COMMENT]
    assert len(comments) >= 5
    assert 0 < comments[0] < comments[-1] < len(found) - 1
    events = [block for block in found if block != COMMENT]
    assert all(json.loads(event.removeprefix("data: ")) for event in events[:-1])


async def test_silence_before_acceptance_says_nothing_until_the_status_is_known(thinking, key):
    caller = await HttpCaller.call(thinking, key, "[[fault:first-byte:0.5]]", stream=True)
    await caller.read_until(b"\n\n")
    answer = await caller.read_all()
    assert answer.status == 200
    assert json.loads(blocks(answer)[0].removeprefix("data: "))["choices"][0]["delta"]["role"]


async def test_a_late_refusal_keeps_its_status(thinking, key):
    faults = "[[fault:unauthorized-docs]] [[fault:latency:0.3]]"
    answer = await ask_http(thinking, key, faults, stream=True)
    check(Column.HTTP_BEFORE, Case("", BAD_KEY), answer)


async def test_a_stall_that_carried_comments_is_still_told(thinking, key):
    answer = await ask_http(thinking, key, "[[fault:stall:4]]", stream=True)
    check(Column.HTTP_AFTER, Case("", STALLED), answer)
    assert COMMENT in blocks(answer)


@pytest.mark.parametrize("fault", ["latency:0.6", "first-byte:0.6"])
async def test_an_early_head_carries_comments_and_then_the_answer(early, key, fault):
    answer = await ask_http(early, key, f"[[fault:{fault}]]", stream=True)
    check(Column.HTTP_AFTER, Case("", Whole()), answer)
    assert blocks(answer)[0] == COMMENT


@pytest.mark.parametrize(
    ("faults", "failure"),
    [
        ("[[fault:unauthorized-docs]] [[fault:latency:0.6]]", BAD_KEY),
        ("[[fault:hang]]", TIMEOUT),
    ],
    ids=["refused", "no answer"],
)
async def test_after_an_early_head_a_failure_is_an_error_frame(early, key, faults, failure):
    async with kept(early, key) as ledger:
        answer = await ask_http(early, key, faults, stream=True)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-request-id"] == "the-id"
    (frame,) = answer.events()
    assert (frame["error"]["type"], frame["error"]["code"]) == (failure.type, failure.code)
    assert blocks(answer)[0] == COMMENT
    check_nothing_leaks(answer.shown(), early, key)
    calls = ledger.added("onemin_calls_total", reason=failure.reason)
    assert calls == ledger.added("onemin_calls_total") == len(early.gateways)
    (line,) = ledger.lines("request")
    assert (line["status"], line["reason"]) == (200, failure.reason)


async def test_after_an_early_head_a_bug_is_an_error_frame(early, key, monkeypatch):
    def broken(*_):
        raise RuntimeError("the cause")

    async with kept(early, key) as ledger:
        monkeypatch.setattr("service.translation.stream.AnswerStream.feed", broken)
        answer = await ask_http(early, key, "[[fault:latency:0.6]]", stream=True)
    (frame,) = answer.events()
    assert (frame["error"]["type"], frame["error"]["code"]) == ("server_error", None)
    assert "the cause" not in answer.shown()
    calls = ledger.added("onemin_calls_total", reason="INTERNAL")
    assert calls == ledger.added("onemin_calls_total") == len(early.gateways)


async def test_an_early_refusal_keeps_its_status_all_the_same(house, key):
    async with house(early_head_after=30) as early:
        answer = await ask_http(early, key, "[[fault:unauthorized-docs]]", stream=True)
    check(Column.HTTP_BEFORE, Case("", BAD_KEY), answer)


async def test_a_client_may_leave_after_an_early_head(early, key):
    async with kept(early, key) as ledger:
        caller = await HttpCaller.call(early, key, "[[fault:hang]]", stream=True)
        await caller.read_until(COMMENT.encode())
        await ledger.until(lambda: ledger.requests, closed=False)
        await caller.leave()
        await ledger.ended("onemin_calls_total", len(early.gateways))
    assert ledger.added("onemin_calls_total", reason="CANCELLED") == len(early.gateways)
    assert [request.state for request in ledger.requests] == ["aborted"]
    assert ledger.in_flight == 0


def channel_that_pings(milliseconds):
    return (
        *CHANNEL,
        ("grpc.keepalive_time_ms", milliseconds),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
    )


async def test_pings_within_a_silent_stream_are_welcome(house, key, monkeypatch):
    """Every 20 s against the floor of 10 s, both a hundredth; the floor of the door is scaled."""
    options = server.server_options

    def scaled(settings):
        return [
            (name, value // 100 if name == PING_FLOOR else value)
            for name, value in options(settings)
        ]

    monkeypatch.setattr(server, "server_options", scaled)
    async with house(channel=channel_that_pings(200)) as silent:
        answer = await ask_grpc(silent, key, "[[fault:first-byte:4]]", stream=True)
    check(Column.GRPC_AFTER, Case("", Whole()), answer)


async def test_pings_below_the_floor_are_not_or_the_test_above_would_show_nothing(house, key):
    async with house(channel=channel_that_pings(200)) as strict, asyncio.timeout(30):
        answer = await ask_grpc(strict, key, "[[fault:hang]]", stream=True)
    assert (answer.code, answer.message) == ("UNAVAILABLE", "Too many pings")
