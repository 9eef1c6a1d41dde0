"""What holds for the port in whatever way it is bound (the rules in `service/inference/api.py`)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from service.call import Call, Protocol
from service.errors import HTTP_ONLY, Reason, ServiceError, Violation
from service.readiness import State
from tests.contract.conftest import LIMITS
from tests.contract.scripted import (
    METHODS,
    STREAM,
    ScriptedInference,
    completed,
    delta,
    spec,
    started,
    watched_stream,
)

pytestmark = pytest.mark.anyio

HANG = ScriptedInference.HANG
REASONS = sorted(set(Reason) - HTTP_ONLY)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CALL = Call("req-1", "the-key", Protocol.HTTP, traceparent=TRACE)
EVERY = [*METHODS, "stream_chat_completion"]


def request_of(method):
    return METHODS[method][0] if method in METHODS else STREAM


async def use(api, method, call=CALL, request=None):
    """Call any method; return its answer, or all events."""
    request = request or request_of(method)
    if method in METHODS:
        return await getattr(api, method)(request, call)
    async with aclosing(api.stream_chat_completion(request, call)) as reads:
        return [event async for events in reads for event in events]


async def failure(awaitable):
    with pytest.raises(ServiceError) as error:
        await awaitable
    return error.value


def facts(error):
    return (
        error.reason,
        error.message,
        error.violations,
        dict(error.metadata),
        error.retry_after,
    )


async def soon(event):
    async with asyncio.timeout(5):
        await event.wait()


def due(seconds):
    when = asyncio.get_running_loop().time() + seconds
    return Call("req-1", "the-key", Protocol.HTTP, deadline=when)


@pytest.mark.parametrize("method", METHODS)
async def test_the_answer_is_that_of_the_service(api, method):
    assert await use(api, method) == METHODS[method][1]


async def test_the_events_are_those_of_the_service(api, port):
    assert await use(api, "stream_chat_completion") == port.events


async def test_what_was_there_at_once_is_there_at_once(api, port):
    port.events = [[started(), delta("Hi"), delta(" there")], [completed()]]
    async with aclosing(api.stream_chat_completion(STREAM, CALL)) as reads:
        texts = ["".join(event.delta.text for event in events) async for events in reads]
    assert [text for text in texts if text] == ["Hi there"]


@pytest.mark.parametrize("method", EVERY)
async def test_a_request_is_never_written_to(api, port, method):
    request = request_of(method)
    before = request.SerializeToString(deterministic=True)
    await use(api, method)
    assert request.SerializeToString(deterministic=True) == before
    assert port.requests == [request]


@pytest.mark.parametrize("method", EVERY)
async def test_identity_arrives_with_the_call(api, port, method):
    await use(api, method)
    (call,) = port.calls
    assert (call.request_id, call.credential, call.traceparent) == ("req-1", "the-key", TRACE)
    assert call.deadline is None


@pytest.mark.parametrize("method", ["get_model", "stream_chat_completion"])
@pytest.mark.parametrize("reason", REASONS)
async def test_every_error_arrives_as_it_was_raised(api, port, method, reason):
    error = ServiceError(
        reason,
        "It failed.",
        violations=[Violation("spec.model", "It is wrong.", "invalid_value")],
        metadata={"model": "gpt-4o", "limit": "1"},
    )
    port.failure = error
    port.events = [error]
    assert facts(await failure(use(api, method))) == facts(error)


@pytest.mark.parametrize("reason", REASONS)
async def test_an_error_midway_comes_after_what_had_come(api, port, reason):
    port.events = [started(), delta("Hi"), ServiceError(reason, "It broke.", retry_after=1.5)]
    seen = []

    async def read():
        async with aclosing(api.stream_chat_completion(STREAM, CALL)) as reads:
            async for events in reads:
                seen.extend(events)

    error = await failure(read())
    assert seen == [started(), delta("Hi")]
    assert (error.reason, error.retry_after) == (reason, 1.5)


@pytest.mark.parametrize("method", EVERY)
async def test_a_bug_tells_nothing(api, port, method):
    port.failure = RuntimeError("secret of the house")
    port.events = [port.failure]
    error = await failure(use(api, method))
    assert facts(error) == facts(ServiceError.internal())


async def test_a_stream_that_is_left_is_closed_at_its_source(api, port):
    port.events = [started(), HANG]
    async with aclosing(api.stream_chat_completion(STREAM, CALL)) as events:
        assert await anext(events) == [started()]
        assert not port.ended.is_set()
    await soon(port.ended)


async def test_a_stream_that_is_left_before_its_first_event_is_closed_at_its_source(api, port):
    port.events = [HANG]
    async with aclosing(api.stream_chat_completion(STREAM, CALL)) as events:
        reading = asyncio.ensure_future(anext(events))
        await soon(port.entered)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
    await soon(port.ended)


@pytest.mark.parametrize("method", EVERY)
async def test_a_call_that_is_cancelled_ends_at_its_source(api, port, method):
    port.failure = HANG
    port.events = [started(), HANG]
    task = asyncio.ensure_future(use(api, method))
    await soon(port.entered)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await soon(port.ended)


@pytest.mark.parametrize("method", EVERY)
async def test_the_deadline_of_the_call_ends_it(api, port, method):
    port.failure = HANG
    port.events = [started(), HANG]
    error = await failure(use(api, method, due(0.3)))
    assert error.reason is Reason.DEADLINE_EXCEEDED
    await soon(port.ended)


@pytest.mark.parametrize("method", EVERY)
async def test_a_deadline_that_has_passed_ends_a_call_that_waits(api, port, method):
    port.failure = HANG
    port.events = [HANG]
    assert (await failure(use(api, method, due(-1)))).reason is Reason.DEADLINE_EXCEEDED


async def test_the_deadline_goes_along(api, port):
    await use(api, "get_model", due(20))
    left = port.calls[0].deadline - asyncio.get_running_loop().time()
    assert 15 < left <= 20.1


@pytest.mark.parametrize(
    "request_type", [pb.CreateChatCompletionRequest, pb.StreamChatCompletionRequest]
)
@pytest.mark.parametrize("size", [LIMITS.request_bytes + 1, LIMITS.request_bytes + (900 << 10)])
async def test_a_request_over_the_limit_is_refused_alike(api, port, request_type, size):
    request = request_type(spec=spec("x" * size))
    is_stream = request_type is pb.StreamChatCompletionRequest
    method = "stream_chat_completion" if is_stream else "create_chat_completion"
    error = await failure(use(api, method, request=request))
    assert error.reason is Reason.PAYLOAD_TOO_LARGE
    assert error.metadata == {"limit": str(LIMITS.request_bytes)}
    assert port.requests == []


async def test_a_request_that_breaks_a_rule_is_refused_alike(api, port):
    request = pb.CreateChatCompletionRequest(spec=spec(model=""))
    error = await failure(use(api, "create_chat_completion", request=request))
    assert error.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in error.violations] == ["spec.model"]
    assert port.requests == []


async def test_a_stopping_process_refuses_alike(api, port, readiness):
    readiness.move_to(State.STOPPING)
    error = await failure(use(api, "get_model"))
    assert error.reason is Reason.SHUTTING_DOWN
    assert error.retry_after == 0
    assert port.requests == []


async def test_more_calls_than_are_admitted_are_refused_alike(api, port):
    port.failure = HANG
    open_calls = [asyncio.ensure_future(use(api, "get_model")) for _ in range(port.CROWD)]
    await soon(port.crowded)
    assert (await failure(use(api, "count_tokens"))).reason is Reason.OVERLOADED
    port.released.set()
    await asyncio.gather(*open_calls)
    assert await use(api, "count_tokens") == METHODS["count_tokens"][1]


async def test_a_reader_that_pauses_pauses_the_source(api, port):
    produced = 0

    async def endless(_request, _call):
        nonlocal produced
        yield [started()]
        for _ in range(5_000):
            produced += 1
            yield [delta("x" * 10_000)]
        yield [completed()]

    port.stream_chat_completion = endless
    async with aclosing(api.stream_chat_completion(STREAM, CALL)) as events:
        await anext(events)
        await asyncio.sleep(0.3)
        assert produced < 1_000


async def test_a_stream_that_waits_keeps_nothing_of_what_it_gave(api, port):
    kept = []
    port.stream_chat_completion = lambda *_: watched_stream(started(), kept)
    async with aclosing(api.stream_chat_completion(STREAM, CALL)) as reads:
        while await anext(reads, None):
            pass
    assert kept == [None]


async def test_a_stream_out_of_order_is_a_bug(api, port):
    port.events = [delta("Hi"), completed()]
    assert (await failure(use(api, "stream_chat_completion"))).reason is Reason.INTERNAL
