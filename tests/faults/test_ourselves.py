"""The fault matrix, our own side: limits, the way out, and bugs."""

from __future__ import annotations

import functools
import importlib
import uuid
from contextlib import asynccontextmanager

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from service.errors import ServiceError
from service.readiness import State
from service.rpc.servicer import SERVICE
from tests.faults.checks import check, check_nothing_leaks
from tests.faults.deeds import (
    BUG_DEEDS,
    BUGS,
    INTERNAL,
    OVERLOADED,
    OWN_DEEDS,
    SHUTTING_DOWN,
    cells,
    ids,
)
from tests.faults.doors import ask
from tests.faults.ledger import kept
from tests.faults.matrix import Case, Column, Whole
from tests.faults.wire import GrpcCaller, call

pytestmark = pytest.mark.anyio

CASES = cells(OWN_DEEDS)
SPLIT_CASES = cells(OWN_DEEDS, split=True)
BUG_CASES = cells(BUG_DEEDS)
CANARY = "the cause that nobody may learn"


@pytest.mark.parametrize(("deed", "column"), CASES, ids=ids(CASES))
async def test_in_one_process(street, house, deed, column):
    await ACTS[deed.name](street, house, column, split=False)


@pytest.mark.parametrize(("deed", "column"), SPLIT_CASES, ids=ids(SPLIT_CASES))
async def test_in_two_processes(street, house, deed, column):
    await ACTS[deed.name](street, house, column, split=True)


async def reach_the_limit(street, _, column, *, split):
    full = await street.house("full", split=split)
    async with occupied(full) as key:
        await check_refused(full, column, new_key(), OVERLOADED)
        await check_alive(full, is_ready=True)
        assert [request.state for request in full.requests(key)] == ["open"]
    await full.simulator.until(lambda: full.requests(key)[0].state == "aborted")
    await check_served(full, column)


async def reach_the_limit_of_a_key(street, _, column, *, split):
    narrow = await street.house("narrow", split=split)
    async with occupied(narrow) as key:
        await check_refused(narrow, column, key, OVERLOADED)
        await check_served(narrow, column)


async def drain(street, _, column, *, split):
    draining = await street.house("draining", split=split)
    draining.gateways[0].readiness.move_to(State.DRAINING)
    await check_served(draining, column)
    await check_alive(draining, is_ready=False)


async def stop(street, house, column, *, split):
    if column.is_after:
        async with house() as stopping:
            await check_an_open_stream_ends(stopping, column)
        return
    stopping = await street.house("stopping", split=split)
    stopping.gateways[0].readiness.move_to(State.STOPPING)
    await check_refused(stopping, column, new_key(), SHUTTING_DOWN)
    assert (await stopping.http.get(f"{stopping.http_url}/health")).status_code == 200


ACTS = {
    "in-flight-limit": reach_the_limit,
    "key-limit": reach_the_limit_of_a_key,
    "draining": drain,
    "stopping": stop,
}


@pytest.mark.parametrize(("deed", "column"), BUG_CASES, ids=ids(BUG_CASES))
async def test_a_bug_tells_the_log_all_and_the_caller_nothing(street, monkeypatch, deed, column):
    place, when, _ = BUGS[deed.name.removeprefix("bug in ")]
    house = await street.house("patient")
    key = new_key()
    async with kept(house, key) as ledger:
        break_call(monkeypatch, place, when)
        answer = await ask(column, house, key)
        monkeypatch.undo()

    check(column, Case("", INTERNAL, says_text=column.is_after), answer)
    assert ServiceError.internal().message in answer.shown()
    check_nothing_leaks(answer.shown(), house, key)
    assert CANARY not in answer.shown()
    (told,) = [line for line in ledger.logs if "exception" in line]
    assert (told["log_level"], told["request_id"]) == ("error", "the-id")
    assert CANARY in told["exception"]
    assert "Traceback" in told["exception"]
    calls, refused = ledger.added("onemin_calls_total"), ledger.added("onemin_refused_total")
    assert calls + refused == 1
    assert ledger.added("onemin_refused_total", reason="INTERNAL") == refused
    assert ledger.in_flight == 0


def break_call(monkeypatch, place, when):
    """Make the function at `place` raise from its `when`th call on, or at those `when` tells."""
    *path, name = place.split(".")
    owner = importlib.import_module(".".join(part for part in path if part.islower()))
    for part in path:
        owner = owner if part.islower() else getattr(owner, part)
    whole = getattr(owner, name)
    calls = []

    @functools.wraps(whole)
    def broken(*args, **kwargs):
        calls.append(name)
        if when(*args) if callable(when) else len(calls) >= when:
            raise RuntimeError(CANARY)
        return whole(*args, **kwargs)

    monkeypatch.setattr(owner, name, broken)


@asynccontextmanager
async def occupied(house):
    """Hold one slot by a stream that has begun; yields its key."""
    key = new_key()
    caller = await GrpcCaller.call(house, key, "[[fault:stall:4]]", stream=True)
    await caller.read_until(b"2")
    try:
        yield key
    finally:
        await caller.leave()


async def check_refused(house, column, key, failure):
    async with kept_beside(house) as ledger:
        answer = await ask(column, house, key)
        check(column, Case("", failure), answer)
        check_nothing_leaks(answer.shown(), house, key)
    processes = len(house.gateways) if column.is_http else 1
    assert ledger.added("onemin_calls_total", reason=failure.reason) == processes


@asynccontextmanager
async def kept_beside(house):
    """Keep the ledger of a call that never gets to the provider."""
    async with kept(house, "no key at all") as ledger:
        yield ledger


async def check_served(house, column):
    whole = {Column.HTTP_BEFORE: Column.HTTP_AFTER, Column.GRPC_BEFORE: Column.GRPC_AFTER}
    answer = await ask(column, house, new_key())
    check(whole.get(column, column), Case("", Whole()), answer)


async def check_an_open_stream_ends(house, column):
    key = new_key()
    caller = await call(column, house, key, "[[fault:slow:0.02]]")
    await caller.read_until(b"2")
    house.gateways[0].readiness.move_to(State.STOPPING)
    if column.is_http:
        check(column, Case("", Whole()), await caller.read_all())
    else:
        assert await caller.read_rest() == "OK"


async def check_alive(house, *, is_ready):
    """The probes answer at once, whatever the calls do."""
    assert (await house.http.get(f"{house.http_url}/health")).status_code == 200
    for url in house.ops_urls[:1]:
        assert (await house.http.get(f"{url}/livez")).status_code == 200
        assert (await house.http.get(f"{url}/readyz")).status_code == (200 if is_ready else 503)
    alive = await house.health.Check(HealthCheckRequest())
    ready = await house.health.Check(HealthCheckRequest(service=SERVICE))
    assert (alive.status, ready.status) == (1, 1 if is_ready else 2)


def new_key():
    return f"sk-{uuid.uuid4().hex}"
