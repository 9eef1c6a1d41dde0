from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.readiness import Readiness, State
from service.rpc.servicer import SERVICE
from tests.contract.doors import serving

pytestmark = pytest.mark.anyio

Response = health_pb2.HealthCheckResponse
SERVING, NOT_SERVING = Response.SERVING, Response.NOT_SERVING


@pytest.fixture
def readiness():
    return Readiness()


@pytest.fixture
def health(channel):
    return health_pb2_grpc.HealthStub(channel)


def asks(service):
    return health_pb2.HealthCheckRequest(service=service)


async def check(health, service):
    return (await health.Check(asks(service), timeout=5)).status


async def tell(watch):
    async with asyncio.timeout(5):
        message = await watch.read()
    return message.status if message is not grpc.aio.EOF else None


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], NOT_SERVING),
        ([State.READY], SERVING),
        ([State.READY, State.STARTING], NOT_SERVING),
        ([State.READY, State.DRAINING], NOT_SERVING),
        ([State.READY, State.DRAINING, State.STOPPING], NOT_SERVING),
    ],
    ids=str,
)
async def test_the_full_name_is_readiness_and_the_empty_name_is_life(
    health, readiness, states, status
):
    for state in states:
        readiness.move_to(state)
    assert await check(health, SERVICE) == status
    assert await check(health, "") == SERVING
    listed = (await health.List(health_pb2.HealthListRequest(), timeout=5)).statuses
    assert {name: each.status for name, each in listed.items()} == {"": SERVING, SERVICE: status}


async def test_an_unknown_name_is_not_found(health):
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await check(health, "another.Service")
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watcher_is_told_of_each_change_and_let_go_at_the_end(health, readiness):
    watch = health.Watch(asks(SERVICE))
    assert await tell(watch) == NOT_SERVING
    readiness.move_to(State.READY)
    assert await tell(watch) == SERVING
    readiness.move_to(State.DRAINING)
    assert await tell(watch) == NOT_SERVING
    readiness.move_to(State.STOPPING)
    assert await tell(watch) is None
    assert await watch.code() is grpc.StatusCode.OK


async def test_a_watcher_of_an_unknown_name_waits(health, readiness):
    watch = health.Watch(asks("another.Service"))
    assert await tell(watch) == Response.SERVICE_UNKNOWN
    readiness.move_to(State.READY)
    readiness.move_to(State.STOPPING)
    assert await tell(watch) is None


async def test_a_watcher_that_comes_too_late_is_told_and_let_go(health, readiness):
    readiness.move_to(State.STOPPING)
    watch = health.Watch(asks(SERVICE))
    assert await tell(watch) == NOT_SERVING
    assert await tell(watch) is None


async def test_open_watches_do_not_delay_the_stop(port, metrics, readiness):
    async with (
        serving(port, metrics, readiness) as (target, server),
        grpc.aio.insecure_channel(target) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(asks(""))
        assert await tell(watch) == SERVING
        readiness.move_to(State.STOPPING)
        async with asyncio.timeout(5):
            await server.stop(60)
        assert await tell(watch) is None
