from __future__ import annotations

import asyncio
import socket

import grpc
import pytest
from structlog.testing import capture_logs

from onemin.inference.v1 import inference_service_pb2 as pb
from service.call import Call, Protocol
from service.errors import Reason, ServiceError
from service.readiness import Readiness, State
from service.rpc.remote import RemoteInference, open_channel, watch_health
from service.rpc.servicer import SERVICE
from tests.contract.doors import chosen, serving
from tests.contract.scripted import METHODS, STREAM, completed, started

pytestmark = pytest.mark.anyio

CALL = Call("req-1", "the-key", Protocol.HTTP)
LIST = METHODS["list_models"][0]
DOWN = grpc.ChannelConnectivity.TRANSIENT_FAILURE


class Waiting(Readiness):
    """A readiness whose states can be waited for."""

    def __init__(self):
        super().__init__()
        self.states = []
        self._news = asyncio.Event()
        self.listen(self._note)

    def _note(self, state):
        self.states.append(state)
        self._news.set()

    async def until(self, state):
        async with asyncio.timeout(15):
            while self.state is not state:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def hop(target):
    async with open_channel(chosen(grpc_target=target)) as channel:
        yield channel


@pytest.fixture
def near():
    return Waiting()


@pytest.fixture
async def watching(hop, near):
    task = asyncio.ensure_future(watch_health(hop, near))
    yield
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
async def dead():
    """A channel to a port that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{unused.getsockname()[1]}"
        async with open_channel(chosen(grpc_target=target)) as channel:
            yield channel


@pytest.mark.usefixtures("watching")
async def test_readiness_follows_the_far_side(near, readiness):
    await near.until(State.READY)
    readiness.move_to(State.STARTING)
    await near.until(State.STARTING)
    readiness.move_to(State.READY)
    await near.until(State.READY)
    readiness.move_to(State.DRAINING)
    await near.until(State.STARTING)


@pytest.mark.usefixtures("watching")
async def test_a_draining_near_side_stays_so(near, readiness):
    await near.until(State.READY)
    near.move_to(State.DRAINING)
    readiness.move_to(State.STARTING)
    readiness.move_to(State.READY)
    assert near.state is State.DRAINING


async def test_readiness_survives_a_restart_of_the_far_side(port, metrics, readiness, near):
    async with serving(port, metrics, readiness) as (target, first):
        number = int(target.rpartition(":")[2])
        async with open_channel(chosen(grpc_target=target)) as channel:
            task = asyncio.ensure_future(watch_health(channel, near))
            await near.until(State.READY)
            readiness.move_to(State.STOPPING)
            await first.stop(0)
            await near.until(State.STARTING)
            again = Readiness()
            again.move_to(State.READY)
            async with serving(port, metrics, again, grpc_port=number):
                await near.until(State.READY)
                again.move_to(State.STOPPING)
            task.cancel()
            await asyncio.wait([task])


class Counted:
    """A channel that counts how often its state is asked for."""

    def __init__(self, channel):
        self._channel = channel
        self.looks = 0

    def get_state(self, *, try_to_connect):
        self.looks += 1
        return self._channel.get_state(try_to_connect=try_to_connect)

    async def wait_for_state_change(self, state):
        await self._channel.wait_for_state_change(state)


async def test_waiting_for_a_dead_target_does_not_spin(dead, near):
    counted = Counted(dead)
    task = asyncio.ensure_future(watch_health(counted, near))
    await asyncio.wait([task], timeout=1.5)
    task.cancel()
    await asyncio.wait([task])
    assert near.states == [State.STARTING]
    assert 2 <= counted.looks <= 8


async def test_calls_go_to_the_processes_that_are_ready(port, metrics, readiness):
    other = Readiness()
    async with (
        serving(port, metrics, readiness) as (one, _),
        serving(type(port)(), metrics, other) as (two, _),
        open_channel(chosen(grpc_target=f"ipv4:{one},{two}")) as channel,
    ):
        remote = RemoteInference(channel)
        for _ in range(6):
            await remote.list_models(LIST, CALL)
        assert len(port.calls) == 6
        other.move_to(State.READY)
        async with asyncio.timeout(10):
            while len(port.calls) < 100:
                before = len(port.calls)
                await remote.list_models(LIST, CALL)
                if len(port.calls) == before:
                    return
    raise AssertionError("the other process was never asked")


@pytest.mark.usefixtures("watching")
async def test_an_open_stream_survives_the_drain_of_the_far_side(port, hop, near, readiness):
    port.events = [started(), port.HANG, completed()]
    events = RemoteInference(hop).stream_chat_completion(STREAM, CALL)
    assert await anext(events) == [started()]
    readiness.move_to(State.DRAINING)
    await near.until(State.STARTING)
    port.released.set()
    assert [read async for read in events] == [[completed()]]


async def failure_of(awaitable):
    with pytest.raises(ServiceError) as failure, capture_logs() as logs:
        await awaitable
    return failure.value, logs


async def test_a_dead_target_is_an_outage_that_names_no_address(dead):
    error, logs = await failure_of(RemoteInference(dead).list_models(LIST, CALL))
    assert error.reason is Reason.UPSTREAM_UNAVAILABLE
    assert error.retry_after is None
    assert "127.0.0.1" not in error.message
    assert logs[0]["code"] == "UNAVAILABLE"
    assert logs[0]["request_id"] == "req-1"
    assert "the-key" not in str(logs)


async def test_a_retry_is_safe_where_nothing_was_sent(dead):
    async with asyncio.timeout(5):
        while (state := dead.get_state(try_to_connect=True)) is not DOWN:
            await dead.wait_for_state_change(state)
    remote = RemoteInference(dead)
    error, _ = await failure_of(remote.list_models(LIST, CALL))
    assert (error.reason, error.retry_after) == (Reason.UPSTREAM_UNAVAILABLE, 1.0)
    error, _ = await failure_of(anext(remote.stream_chat_completion(STREAM, CALL)))
    assert (error.reason, error.retry_after) == (Reason.UPSTREAM_UNAVAILABLE, 1.0)


async def test_an_error_of_the_far_side_is_not_logged_again(hop, port):
    port.failure = ServiceError(Reason.RATE_LIMITED, "Slow down.")
    error, logs = await failure_of(RemoteInference(hop).list_models(LIST, CALL))
    assert error.reason is Reason.RATE_LIMITED
    assert logs == []


async def test_a_service_that_is_another_is_our_fault():
    server = grpc.aio.server()
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(chosen(grpc_target=f"127.0.0.1:{number}")) as channel:
        remote = RemoteInference(channel)
        error, _ = await failure_of(remote.list_models(LIST, CALL))
        assert error.reason is Reason.INTERNAL
        error, _ = await failure_of(anext(remote.stream_chat_completion(STREAM, CALL)))
        assert error.reason is Reason.INTERNAL
    await server.stop(0)


async def test_a_generation_is_never_made_again():
    """An answer of UNAVAILABLE is what a retry policy would act on."""
    attempts = 0

    async def fail(_, context):
        nonlocal attempts
        attempts += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    server = grpc.aio.server()
    handlers = {"ListModels": grpc.unary_unary_rpc_method_handler(fail)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(chosen(grpc_target=f"127.0.0.1:{number}")) as channel:
        error, _ = await failure_of(RemoteInference(channel).list_models(LIST, CALL))
    await server.stop(0)
    assert error.reason is Reason.UPSTREAM_UNAVAILABLE
    assert attempts == 1


async def test_a_request_over_the_limit_of_the_library_is_too_large(target, port):
    async with open_channel(chosen(grpc_target=target, max_body_bytes=1024)) as channel:
        request = pb.GetModelRequest(id="x" * (2 << 20))
        error, _ = await failure_of(RemoteInference(channel).get_model(request, CALL))
    assert error.reason is Reason.PAYLOAD_TOO_LARGE
    assert port.requests == []


async def test_the_hop_ignores_the_proxy_of_the_environment(target, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with open_channel(chosen(grpc_target=target)) as channel:
        assert await RemoteInference(channel).list_models(LIST, CALL)
