from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status
from structlog.testing import capture_logs

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.errors import Reason, ServiceError, Violation
from service.rpc.servicer import FIELDS_LIMIT, SERVICE, Servicer
from service.rpc.status import rebuilt
from service.stages import Stages
from tests.contract.scripted import (
    METHODS,
    STREAM,
    ScriptedInference,
    completed,
    delta,
    spec,
    started,
)

pytestmark = pytest.mark.anyio

KEY = (("authorization", "Bearer the-key"),)
HANG = ScriptedInference.HANG
WHOLE = pb.CreateChatCompletionRequest(spec=spec())
RPCS = {
    "CreateChatCompletion": WHOLE,
    "StreamChatCompletion": STREAM,
    "ListModels": METHODS["list_models"][0],
    "GetModel": METHODS["get_model"][0],
    "CountTokens": METHODS["count_tokens"][0],
}


async def soon(event):
    async with asyncio.timeout(5):
        await event.wait()


async def call(stub, name, metadata=KEY, **options):
    """Make any RPC; return the last message."""
    rpc = getattr(stub, name)(RPCS[name], metadata=metadata, **options)
    if name == "StreamChatCompletion":
        return [event async for event in rpc][-1]
    return await rpc


async def refusal(stub, name, metadata=KEY, **options):
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call(stub, name, metadata, **options)
    return failure.value


def refused(metrics, reason):
    return metrics.registry.get_sample_value(
        "onemin_refused_total", {"protocol": "grpc", "reason": reason}
    )


def test_every_rpc_of_the_contract_is_bound(port, metrics):
    service = pb.DESCRIPTOR.services_by_name["InferenceService"]
    handlers = Servicer(port, metrics, Stages()).handlers()
    assert set(handlers) == {method.name for method in service.methods}
    for method in service.methods:
        assert handlers[method.name].response_streaming is method.server_streaming
        assert handlers[method.name].request_streaming is method.client_streaming


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("CreateChatCompletion", "create_chat_completion"),
        ("ListModels", "list_models"),
        ("GetModel", "get_model"),
        ("CountTokens", "count_tokens"),
    ],
)
async def test_a_unary_call_reaches_the_port_and_its_answer_the_caller(stub, port, name, method):
    request, answer = METHODS[method]
    assert await getattr(stub, name)(request, metadata=KEY) == answer
    assert port.requests == [request]
    assert port.calls[0].credential == "the-key"


async def test_a_stream_carries_the_events_of_the_port(stub, port):
    events = [event async for event in stub.StreamChatCompletion(STREAM, metadata=KEY)]
    assert events == port.events
    assert port.requests == [STREAM]


LISTS = {
    "all at once": (
        [[started(), delta("a"), delta("b"), delta("c"), completed()]],
        [started(), delta("abc"), completed()],
    ),
    "deltas in two lists": (
        [[started(), delta("a")], [delta("b"), delta("c")], [completed()]],
        [started(), delta("a"), delta("bc"), completed()],
    ),
    "one by one": (
        [started(), delta("a"), delta("b"), completed()],
        [started(), delta("a"), delta("b"), completed()],
    ),
}


@pytest.mark.parametrize(("lists", "messages"), LISTS.values(), ids=LISTS)
async def test_deltas_that_were_there_at_once_are_one_message(stub, port, lists, messages):
    port.events = lists
    assert [event async for event in stub.StreamChatCompletion(STREAM, metadata=KEY)] == messages


@pytest.mark.parametrize("name", RPCS)
async def test_an_accepted_call_tells_its_id_first(stub, name):
    rpc = getattr(stub, name)(RPCS[name], metadata=(*KEY, ("x-request-id", "req-7")))
    assert dict(await rpc.initial_metadata())["x-request-id"] == "req-7"
    rpc.cancel()


async def test_a_stream_tells_its_id_with_the_first_event(stub, port):
    port.events = [HANG, started(), completed()]
    rpc = stub.StreamChatCompletion(STREAM, metadata=KEY)
    head = asyncio.ensure_future(rpc.initial_metadata())
    await soon(port.entered)
    assert not head.done()
    port.released.set()
    assert dict(await head)["x-request-id"].startswith("req_")
    assert [event async for event in rpc] == [started(), completed()]


@pytest.mark.parametrize("name", ["CreateChatCompletion", "StreamChatCompletion"])
async def test_a_substitute_is_never_silent(stub, port, name):
    port.model = "gpt-5"
    port.events = [started("gpt-5"), completed()]
    rpc = getattr(stub, name)(RPCS[name], metadata=KEY)
    assert dict(await rpc.initial_metadata())["x-onemin-model-substituted"] == "gpt-4o"
    rpc.cancel()


@pytest.mark.parametrize("name", RPCS)
@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        pytest.param((), "MISSING_API_KEY", id="anonymous"),
        pytest.param((*KEY, *KEY), "INVALID_API_KEY", id="two keys"),
        pytest.param((("authorization", "Basic eA"),), "INVALID_API_KEY", id="basic"),
    ],
)
async def test_no_rpc_is_served_without_one_credential(stub, port, metrics, name, metadata, reason):
    error = await refusal(stub, name, metadata)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert rebuilt(error).reason == reason
    assert refused(metrics, reason) == 1
    assert port.requests == []


@pytest.mark.parametrize("name", RPCS)
async def test_a_request_that_does_not_decode_is_a_bad_request(channel, port, metrics, name):
    kind = channel.unary_stream if name == "StreamChatCompletion" else channel.unary_unary
    rpc = kind(f"/{SERVICE}/{name}")(b"\xff\xff garbage", metadata=KEY)
    assert await rpc.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await rpc.details() == f"The request is not a {name}Request."
    trailers = dict(await rpc.trailing_metadata())
    assert b"INVALID_FIELD" in trailers["grpc-status-details-bin"]
    assert refused(metrics, "INVALID_FIELD") == 1
    assert port.requests == []


@pytest.mark.parametrize("name", ["CreateChatCompletion", "StreamChatCompletion", "CountTokens"])
async def test_a_flood_of_fields_is_refused_unparsed(channel, port, metrics, name):
    flood = chat_pb2.ChatCompletionSpec(messages=[chat_pb2.ChatMessage()] * FIELDS_LIMIT)
    body = pb.CreateChatCompletionRequest(spec=flood).SerializeToString()
    kind = channel.unary_stream if name == "StreamChatCompletion" else channel.unary_unary
    rpc = kind(f"/{SERVICE}/{name}")(body, metadata=KEY)
    assert await rpc.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = dict(await rpc.trailing_metadata())
    assert b"PAYLOAD_TOO_LARGE" in trailers["grpc-status-details-bin"]
    assert refused(metrics, "PAYLOAD_TOO_LARGE") == 1
    assert port.requests == []


async def test_a_large_text_is_one_field(stub, port):
    text = chat_pb2.ContentPart(text="\x12\x00" * (1 << 20))
    request = pb.CreateChatCompletionRequest(
        spec=chat_pb2.ChatCompletionSpec(messages=[chat_pb2.ChatMessage(parts=[text])])
    )
    await stub.CreateChatCompletion(request, metadata=KEY)
    assert port.requests == [request]


@pytest.mark.parametrize("name", RPCS)
async def test_a_refused_call_tells_its_id_last(stub, port, name):
    port.failure = ServiceError(Reason.OVERLOADED, "Too many calls.")
    port.events = [port.failure]
    error = await refusal(stub, name, (*KEY, ("x-request-id", "req-7")))
    assert dict(error.trailing_metadata())["x-request-id"] == "req-7"
    assert "x-request-id" not in dict(error.initial_metadata())
    request_info = details.RequestInfo()
    assert any(detail.Unpack(request_info) for detail in rpc_status.from_call(error).details)
    assert request_info.request_id == "req-7"


@pytest.mark.parametrize("name", RPCS)
async def test_a_bug_is_logged_and_says_nothing_to_the_caller(stub, port, name):
    port.failure = ValueError("secret of the house")
    port.events = [port.failure]
    with capture_logs() as logs:
        error = await refusal(stub, name, (*KEY, ("x-request-id", "req-7")))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert rebuilt(error).reason is Reason.INTERNAL
    assert "secret" not in repr(error)
    (entry,) = logs
    assert entry["exc_info"] is port.failure
    assert entry["request_id"] == "req-7"
    assert "the-key" not in str(entry)


async def test_a_failure_midway_ends_the_stream_after_what_had_come(stub, port):
    failure = ServiceError(Reason.UPSTREAM_TRUNCATED, "It broke off.")
    port.events = [started(), delta("Hi"), failure]
    rpc = stub.StreamChatCompletion(STREAM, metadata=KEY)
    assert [await rpc.read(), await rpc.read()] == [started(), delta("Hi")]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await rpc.read()
    assert rebuilt(error.value).reason is Reason.UPSTREAM_TRUNCATED


@pytest.mark.parametrize("name", ["CreateChatCompletion", "StreamChatCompletion"])
async def test_a_caller_who_cancels_ends_the_call(stub, port, name):
    port.failure = HANG
    port.events = [HANG]
    rpc = getattr(stub, name)(RPCS[name], metadata=KEY)
    answer = asyncio.ensure_future(rpc.code())
    await soon(port.entered)
    rpc.cancel()
    await soon(port.ended)
    assert await answer is grpc.StatusCode.CANCELLED


async def test_a_caller_who_stops_reading_and_cancels_ends_the_call(stub, port):
    port.events = [started(), *[delta("x" * 100_000)] * 1000, HANG]
    rpc = stub.StreamChatCompletion(STREAM, metadata=KEY)
    await rpc.read()
    await soon(port.entered)
    rpc.cancel()
    await soon(port.ended)
    assert port.left_in_order


async def test_a_connection_that_drops_ends_its_streams_without_noise(target, port, caplog):
    port.events = [started(), *[delta("x" * 10_000)] * 1000, HANG]
    with capture_logs() as logs, caplog.at_level(logging.INFO):
        async with grpc.aio.insecure_channel(target) as channel:
            await InferenceServiceStub(channel).StreamChatCompletion(STREAM, metadata=KEY).read()
        await soon(port.ended)
    assert logs == []
    assert [record.message for record in caplog.records] == []


class GoneContext:
    """The context of a call that ended while an answer was on its way, unknown to its handler."""

    def invocation_metadata(self):
        return KEY

    def time_remaining(self):
        return None

    async def send_initial_metadata(self, _):
        raise grpc.aio.InternalError("gone")

    async def abort_with_status(self, _):
        raise grpc.aio.InternalError("gone")


@pytest.mark.parametrize("failure", [None, ServiceError(Reason.UPSTREAM_STALLED, "Too late.")])
@pytest.mark.parametrize("name", ["CreateChatCompletion", "StreamChatCompletion"])
async def test_a_call_is_cancelled_quietly_where_nobody_is(port, metrics, name, failure):
    port.failure = failure
    port.events = [failure] if failure else port.events
    handler = Servicer(port, metrics, Stages()).handlers()[name]
    # The library logs any other exception of a handler as an error.
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await (handler.unary_unary or handler.unary_stream)(
            RPCS[name].SerializeToString(), GoneContext()
        )
    assert logs == []
    assert port.ended.is_set()


@pytest.mark.parametrize("name", ["CreateChatCompletion", "StreamChatCompletion"])
async def test_the_deadline_reaches_the_port_and_ends_the_call(stub, port, name):
    port.failure = HANG
    port.events = [HANG]
    error = await refusal(stub, name, timeout=0.3)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await soon(port.ended)
    assert 0 < port.calls[0].deadline - asyncio.get_running_loop().time() + 1 < 1.3


async def test_the_largest_error_arrives_whole(stub, port):
    violations = [Violation("f" * 300, "漢" * 300, "r" * 300)] * 20
    metadata = {f"key{n}": "漢" * 200 for n in range(20)}
    port.failure = ServiceError(
        Reason.INVALID_FIELD, "漢" * 1024, violations=violations, metadata=metadata
    )
    # Between its soft and its hard limit the library refuses trailers at random.
    for _ in range(50):
        error = await refusal(stub, "GetModel", (*KEY, ("x-request-id", "r" * 128)))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert rebuilt(error).reason is Reason.INVALID_FIELD


async def test_a_blocking_client_gets_the_same(target, port):
    def blocking():
        with grpc.insecure_channel(target) as channel:
            stub = InferenceServiceStub(channel)
            whole = stub.CreateChatCompletion(WHOLE, metadata=KEY, timeout=5)
            stream = list(stub.StreamChatCompletion(STREAM, metadata=KEY, timeout=5))
            with pytest.raises(grpc.RpcError) as failure:
                stub.ListModels(pb.ListModelsRequest(), timeout=5)
            return whole, stream, rpc_status.from_call(failure.value)

    whole, stream, status = await asyncio.to_thread(blocking)
    assert whole == METHODS["create_chat_completion"][1]
    assert stream == port.events
    assert status.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
