from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import pytest
from structlog.testing import capture_logs

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.call import Call, Protocol
from service.errors import Reason, ServiceError
from service.inference.admission import Admission
from service.inference.pipeline import Limits, Pipeline
from service.inference.validation import Validator
from service.observability.metrics import Metrics
from service.readiness import Readiness, State
from service.stages import Stages
from service.waits import Waits
from tests.unit.timers import timers_of

pytestmark = pytest.mark.anyio

Response = pb.StreamChatCompletionResponse
STARTED = Response(started=Response.Started(id="x"))
DELTA = Response(delta=Response.Delta(text="x"))
COMPLETED = Response(completed=Response.Completed())

SPEC = chat_pb2.ChatCompletionSpec(
    model="m", messages=[chat_pb2.ChatMessage(role=chat_pb2.CHAT_ROLE_USER)]
)
UNARY = pb.CreateChatCompletionRequest(spec=SPEC)
STREAM = pb.StreamChatCompletionRequest(spec=SPEC)


class Scripted:
    """An `InferenceApi` that does what the test says: answers, raises, or waits for ever."""

    def __init__(self, *script):
        self.script = script
        self.began = asyncio.Event()
        self.closed = asyncio.Event()
        self.calls = 0

    async def _play(self):
        self.calls += 1
        self.began.set()
        try:
            for step in self.script:
                if isinstance(step, BaseException):
                    raise step
                if step is ...:
                    await asyncio.Event().wait()
                yield step
        finally:
            self.closed.set()

    async def create_chat_completion(self, request, call):
        async with aclosing(self._play()) as steps:
            return await anext(steps)

    async def stream_chat_completion(self, request, call):
        async with aclosing(self._play()) as steps:
            async for step in steps:
                yield [step]

    list_models = get_model = count_tokens = create_chat_completion


@pytest.fixture
def metrics():
    return Metrics("test")


@pytest.fixture
def readiness():
    readiness = Readiness()
    readiness.move_to(State.READY)
    return readiness


@pytest.fixture
def build(metrics, readiness):
    def build(*script, limit=8, total=30.0, stream=30.0, size=10_000):
        inner = Scripted(*script)
        admission = Admission(limit=limit, limit_per_key=limit, in_flight=metrics.in_flight)
        pipeline = Pipeline(
            inner,
            limits=Limits(request_bytes=size, total_seconds=total, stream_seconds=stream),
            admission=admission,
            readiness=readiness,
            metrics=metrics,
            validator=Validator(),
            stages=Stages(),
        )
        return pipeline, inner, admission

    return build


def call(*, deadline=None):
    until = None if deadline is None else asyncio.get_running_loop().time() + deadline
    return Call(request_id="r", credential="key", protocol=Protocol.HTTP, deadline=until)


async def unary(pipeline, request=UNARY, **context):
    return await pipeline.create_chat_completion(request, call(**context))


async def stream(pipeline, request=STREAM, **context):
    async with aclosing(pipeline.stream_chat_completion(request, call(**context))) as reads:
        return [event async for events in reads for event in events]


BOTH = pytest.mark.parametrize("make", [unary, stream])


def ended(metrics, reason, method=None):
    """Return how many calls ended so."""
    return sum(
        sample.value
        for family in metrics.calls.collect()
        for sample in family.samples
        if sample.name == "onemin_calls_total"
        and sample.labels["reason"] == reason
        and method in (None, sample.labels["method"])
    )


async def test_a_call_passes(build, metrics):
    answer = pb.CreateChatCompletionResponse(text="Hi")

    assert await unary(build(answer)[0]) is answer
    assert await stream(build(STARTED, DELTA, COMPLETED)[0]) == [STARTED, DELTA, COMPLETED]
    assert ended(metrics, "OK", "CreateChatCompletion") == 1
    assert ended(metrics, "OK", "StreamChatCompletion") == 1


@pytest.mark.parametrize(
    ("method", "name", "request_"),
    [
        ("list_models", "ListModels", pb.ListModelsRequest()),
        ("get_model", "GetModel", pb.GetModelRequest(id="m")),
        ("count_tokens", "CountTokens", pb.CountTokensRequest(spec=SPEC)),
    ],
)
async def test_every_method_passes_the_same_steps(build, metrics, method, name, request_):
    pipeline, inner, _ = build("answer")
    refusing, untouched, _ = build("answer", size=1)

    assert await getattr(pipeline, method)(request_, call()) == "answer"
    assert inner.calls == 1
    assert ended(metrics, "OK", name) == 1
    if request_.ByteSize() > 1:
        with pytest.raises(ServiceError):
            await getattr(refusing, method)(request_, call())
        assert untouched.calls == 0


@BOTH
async def test_a_stopping_server_refuses(build, readiness, make):
    readiness.move_to(State.STOPPING)
    pipeline, inner, _ = build(STARTED)

    with pytest.raises(ServiceError) as refused:
        await make(pipeline)
    assert (refused.value.reason, refused.value.retry_after) == (Reason.SHUTTING_DOWN, 0.0)
    assert inner.calls == 0


async def test_a_draining_server_serves(build, readiness):
    readiness.move_to(State.DRAINING)

    assert await unary(build("answer")[0]) == "answer"


@BOTH
async def test_a_large_request_is_refused(build, metrics, make):
    pipeline, inner, _ = build(STARTED, size=5)

    with pytest.raises(ServiceError) as refused:
        await make(pipeline)
    assert refused.value.reason is Reason.PAYLOAD_TOO_LARGE
    assert refused.value.metadata == {"limit": "5"}
    assert inner.calls == 0
    assert ended(metrics, "PAYLOAD_TOO_LARGE") == 1


@pytest.mark.parametrize(
    ("make", "request_"),
    [(unary, pb.CreateChatCompletionRequest()), (stream, pb.StreamChatCompletionRequest())],
)
async def test_a_request_that_breaks_a_rule_is_refused(build, make, request_):
    pipeline, inner, admission = build(STARTED)

    with pytest.raises(ServiceError) as refused:
        await make(pipeline, request_)
    assert refused.value.reason is Reason.INVALID_FIELD
    assert (inner.calls, admission.total) == (0, 0)


async def test_a_call_that_finds_no_place_is_refused(build):
    pipeline, _, admission = build(STARTED, ..., limit=1)

    async with aclosing(pipeline.stream_chat_completion(STREAM, call())) as events:
        await anext(events)
        for make in (unary, stream):
            with pytest.raises(ServiceError) as refused:
                await make(pipeline)
            assert refused.value.reason is Reason.OVERLOADED
        assert admission.total == 1
    assert admission.total == 0


@BOTH
async def test_the_callers_deadline_ends_the_work(build, metrics, make):
    pipeline, inner, admission = build(...)

    with pytest.raises(ServiceError) as late:
        await make(pipeline, deadline=0.01)
    assert late.value.reason is Reason.DEADLINE_EXCEEDED
    assert inner.closed.is_set()
    assert admission.total == 0
    assert ended(metrics, "DEADLINE_EXCEEDED") == 1


@BOTH
async def test_our_own_limit_ends_the_work(build, make):
    pipeline, inner, _ = build(..., total=0.01, stream=0.01)

    with pytest.raises(ServiceError, match=r"within 0\.01 seconds") as late:
        await make(pipeline, deadline=30)
    assert late.value.reason is Reason.UPSTREAM_TIMEOUT
    assert inner.closed.is_set()


@BOTH
async def test_a_time_out_of_somebody_else_is_a_bug_and_no_deadline(build, make):
    with pytest.raises(ServiceError) as failed:
        await make(build(TimeoutError("inner"))[0])
    assert failed.value.reason is Reason.INTERNAL


async def test_the_deadline_does_not_run_while_the_consumer_thinks(build):
    """A slow reader must not be hit by the time-out while it holds an event."""
    pipeline, _, _ = build(STARTED, ..., stream=0.05)
    async with aclosing(pipeline.stream_chat_completion(STREAM, call())) as events:
        await anext(events)
        await asyncio.sleep(0.1)  # past the limit: only the next read may notice
        with pytest.raises(ServiceError) as late:
            await anext(events)
    assert late.value.reason is Reason.UPSTREAM_TIMEOUT


@BOTH
async def test_what_the_service_refuses_is_told(build, metrics, make):
    refusal = ServiceError(Reason.RATE_LIMITED, "slow down", metadata={"upstream_status": "429"})

    with pytest.raises(ServiceError) as refused:
        await make(build(refusal)[0])
    assert refused.value is refusal
    assert ended(metrics, "RATE_LIMITED") == 1


@BOTH
@pytest.mark.parametrize(
    ("reason", "model"),
    [
        pytest.param(Reason.RATE_LIMITED, "m", id="known"),
        pytest.param(Reason.MODEL_NOT_FOUND, None, id="unknown"),
        pytest.param(Reason.INVALID_FIELD, None, id="not looked up"),
    ],
)
async def test_what_an_error_tells_is_logged_but_no_unknown_model(build, make, reason, model):
    refusal = ServiceError(reason, "no", metadata={"model": "sk-secret", "limit": "5"})

    with capture_logs() as lines, pytest.raises(ServiceError) as refused:
        await make(build(refusal)[0])
    assert refused.value is refusal
    [line] = [line for line in lines if line["event"] == "call"]
    assert (line["model"], line["limit"]) == (model, "5")


@BOTH
async def test_an_unexpected_error_says_nothing(build, metrics, make):
    with pytest.raises(ServiceError) as failed:
        await make(build(ValueError("secret"))[0])
    assert failed.value.reason is Reason.INTERNAL
    assert "secret" not in str(failed.value)
    assert isinstance(failed.value.__cause__, ValueError)
    assert ended(metrics, "INTERNAL") == 1


@BOTH
async def test_cancellation_reaches_the_service(build, metrics, make):
    pipeline, inner, admission = build(...)
    task = asyncio.create_task(make(pipeline))
    await inner.began.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.closed.is_set()
    assert admission.total == 0
    assert ended(metrics, "CANCELLED") == 1


@pytest.mark.parametrize(
    ("taken", "reason"), [(1, "CANCELLED"), (2, "CANCELLED"), (3, "OK")], ids=str
)
async def test_a_consumer_that_leaves_closes_the_stream(build, metrics, taken, reason):
    pipeline, inner, admission = build(STARTED, DELTA, COMPLETED)
    async with aclosing(pipeline.stream_chat_completion(STREAM, call())) as events:
        for _ in range(taken):
            await anext(events)

    assert inner.closed.is_set()
    assert admission.total == 0
    assert ended(metrics, reason) == 1


@pytest.mark.parametrize(
    "script",
    [[DELTA], [STARTED, STARTED], [STARTED, DELTA], []],
    ids=["no start", "two starts", "no end", "nothing"],
)
async def test_a_stream_that_breaks_its_contract_is_a_bug(build, metrics, script):
    with pytest.raises(ServiceError) as failed:
        await stream(build(*script)[0])
    assert failed.value.reason is Reason.INTERNAL
    assert ended(metrics, "INTERNAL") == 1


async def test_requests_are_never_written_to(build):
    before = STREAM.SerializeToString(deterministic=True)
    await stream(build(STARTED, COMPLETED)[0])
    assert STREAM.SerializeToString(deterministic=True) == before


async def test_the_time_to_the_first_text_is_measured_once(build, metrics):
    await stream(build(STARTED, DELTA, DELTA, COMPLETED)[0])

    name = "onemin_first_token_seconds_count"
    assert metrics.registry.get_sample_value(name, {"protocol": "http"}) == 1


@BOTH
@pytest.mark.parametrize(
    "script",
    [
        pytest.param([STARTED, DELTA, COMPLETED], id="answered"),
        pytest.param([ServiceError(Reason.INTERNAL, "x")], id="failed"),
    ],
)
async def test_a_call_leaves_no_timer(build, timers, make, script):
    pipeline, *_ = build(*script)
    with suppress(ServiceError):
        await make(pipeline)
    assert [timer.cancelled() for timer in timers] == [True]


@pytest.fixture
async def timers(monkeypatch):
    """The timers that bound waits."""
    return timers_of(Waits, monkeypatch)
