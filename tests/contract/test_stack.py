"""The whole product over a simulator, seen through generated stubs, asyncio and blocking."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest

from onemin.inference.v1 import chat_pb2, model_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.errors import TABLE, Reason
from service.rpc.status import from_rpc_error
from tests.conftest import KEY
from tests.contract.scripted import spec

pytestmark = pytest.mark.anyio

IDENTITY = (("authorization", f"Bearer {KEY}"), ("x-request-id", "req-7"))


class AsyncioCaller:
    """Makes calls with the stub of asyncio."""

    def __init__(self, target):
        self._target = target

    async def whole(self, name, request, metadata=IDENTITY):
        async with grpc.aio.insecure_channel(self._target) as channel:
            return await getattr(InferenceServiceStub(channel), name)(
                request, metadata=metadata, timeout=20
            )

    async def stream(self, request, metadata=IDENTITY):
        async with grpc.aio.insecure_channel(self._target) as channel:
            rpc = InferenceServiceStub(channel).StreamChatCompletion(
                request, metadata=metadata, timeout=20
            )
            return [event async for event in rpc]


class BlockingCaller:
    """Makes the same calls with the blocking stub, on a thread."""

    def __init__(self, target):
        self._target = target

    async def whole(self, name, request, metadata=IDENTITY):
        def call():
            with grpc.insecure_channel(self._target) as channel:
                return getattr(InferenceServiceStub(channel), name)(
                    request, metadata=metadata, timeout=20
                )

        return await asyncio.to_thread(call)

    async def stream(self, request, metadata=IDENTITY):
        def call():
            with grpc.insecure_channel(self._target) as channel:
                return list(
                    InferenceServiceStub(channel).StreamChatCompletion(
                        request, metadata=metadata, timeout=20
                    )
                )

        return await asyncio.to_thread(call)


@pytest.fixture(params=[AsyncioCaller, BlockingCaller], ids=["asyncio", "blocking"])
def caller(request, gateway):
    return request.param(gateway.grpc_target)


def whole(prompt, **fields):
    return pb.CreateChatCompletionRequest(spec=spec(prompt, **fields))


def streamed(prompt, **fields):
    return pb.StreamChatCompletionRequest(spec=spec(prompt, **fields))


async def refusal(awaitable):
    with pytest.raises(grpc.RpcError) as failure:
        await awaitable
    return failure.value


async def test_a_whole_answer(caller):
    answer = await caller.whole("CreateChatCompletion", whole("repeat: Hi there"))
    assert (answer.text, answer.model) == ("Hi there", "gpt-4o")
    assert answer.finish_reason == chat_pb2.FINISH_REASON_STOP
    assert answer.id.startswith("chatcmpl-")
    assert answer.create_time.seconds > 0
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0


async def test_a_streamed_answer(caller):
    first, *deltas, last = await caller.stream(streamed("repeat: Hi there"))
    assert first.started.model == "gpt-4o"
    assert "".join(event.delta.text for event in deltas) == "Hi there"
    assert last.completed.finish_reason == chat_pb2.FINISH_REASON_STOP
    assert last.completed.usage.completion_tokens > 0


async def test_the_limits_of_the_caller_hold(caller):
    limits = chat_pb2.SamplingConfig(max_completion_tokens=2, temperature=0.5)
    answer = await caller.whole("CreateChatCompletion", whole("hello", sampling=limits))
    assert answer.finish_reason == chat_pb2.FINISH_REASON_LENGTH
    assert list(answer.ignored_parameters) == ["temperature"]
    stop = chat_pb2.SamplingConfig(stop_sequences=["there"])
    answer = await caller.whole("CreateChatCompletion", whole("repeat: Hi there", sampling=stop))
    assert answer.text == "Hi "


async def test_the_models_can_be_paged_and_described(caller):
    everything = await caller.whole("ListModels", pb.ListModelsRequest())
    page = await caller.whole("ListModels", pb.ListModelsRequest(page_size=1))
    assert page.models[0] == everything.models[0]
    rest = pb.ListModelsRequest(page_token=page.next_page_token)
    assert list((await caller.whole("ListModels", rest)).models) == list(everything.models[1:])
    described = await caller.whole("GetModel", pb.GetModelRequest(id=page.models[0].id))
    assert described.model == page.models[0]
    assert model_pb2.MODEL_CAPABILITY_CHAT in described.model.capabilities


async def test_tokens_can_be_counted(caller):
    answer = await caller.whole("CountTokens", pb.CountTokensRequest(spec=spec("hello")))
    assert answer.token_count > 0
    assert answer.encoding == "o200k_base"


FAULTS = {
    "unauthorized-docs": Reason.INVALID_API_KEY,
    "forbidden-json-403": Reason.PERMISSION_DENIED,
    "rate-limited-docs": Reason.RATE_LIMITED,
    "insufficient-credits": Reason.QUOTA_EXHAUSTED,
    "external-api-error-moderation": Reason.CONTENT_REJECTED,
    "bad-gateway-502": Reason.UPSTREAM_UNAVAILABLE,
}


@pytest.mark.parametrize(("fault", "reason"), FAULTS.items(), ids=FAULTS)
async def test_a_failure_of_the_provider_has_its_reason(caller, fault, reason):
    prompt = f"hello [[fault:{fault}]]"
    for call in (
        caller.whole("CreateChatCompletion", whole(prompt)),
        caller.stream(streamed(prompt)),
    ):
        error = await refusal(call)
        assert error.code().value[0] == TABLE[reason].grpc_code
        assert from_rpc_error(error).reason is reason
        assert dict(error.trailing_metadata())["x-request-id"] == "req-7"
        assert "1min.ai/" not in error.details()


@pytest.mark.parametrize(
    ("name", "request_", "reason"),
    [
        ("GetModel", pb.GetModelRequest(id="no-such-model"), Reason.MODEL_NOT_FOUND),
        ("GetModel", pb.GetModelRequest(), Reason.INVALID_FIELD),
        ("CreateChatCompletion", whole("x", model="no-such-model"), Reason.MODEL_NOT_FOUND),
        ("CreateChatCompletion", pb.CreateChatCompletionRequest(), Reason.INVALID_FIELD),
        ("CountTokens", pb.CountTokensRequest(), Reason.INVALID_FIELD),
        ("ListModels", pb.ListModelsRequest(page_size=-1), Reason.INVALID_FIELD),
        ("ListModels", pb.ListModelsRequest(page_token="?"), Reason.INVALID_FIELD),
    ],
)
async def test_a_bad_request_never_reaches_the_provider(caller, gateway, name, request_, reason):
    seen = len(gateway.simulator.seen)
    assert from_rpc_error(await refusal(caller.whole(name, request_))).reason is reason
    assert len(gateway.simulator.seen) == seen


async def test_a_request_over_the_limit_is_refused(caller):
    error = await refusal(
        caller.whole("CountTokens", pb.CountTokensRequest(spec=spec("x" * (16 << 20))))
    )
    again = from_rpc_error(error)
    assert again.reason is Reason.PAYLOAD_TOO_LARGE
    assert again.metadata == {"limit": str(16 << 20)}


async def test_a_caller_who_leaves_ends_the_request_to_the_provider(gateway):
    def open_requests():
        return [each for each in gateway.simulator.seen if each.state == "open"]

    async with grpc.aio.insecure_channel(gateway.grpc_target) as channel:
        stub = InferenceServiceStub(channel)
        rpc = stub.StreamChatCompletion(
            streamed("repeat: one two three [[fault:stall]]"), metadata=IDENTITY
        )
        await rpc.read()
        (request,) = open_requests()
        rpc.cancel()
        await gateway.simulator.until(lambda: request.state == "aborted", 1)


async def test_the_deadline_ends_the_request_to_the_provider(gateway):
    async with grpc.aio.insecure_channel(gateway.grpc_target) as channel:
        stub = InferenceServiceStub(channel)
        call = stub.CreateChatCompletion(
            whole("hello [[fault:latency:30]]"), metadata=IDENTITY, timeout=0.5
        )
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        request = gateway.simulator.seen[-1]
        await gateway.simulator.until(lambda: request.state == "aborted", 2)
