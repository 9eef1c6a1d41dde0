"""Both doors behind real proxies with TLS, as the overlays expose them."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from itertools import pairwise

import grpc
import openai
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.rpc.servicer import SERVICE
from tests.conftest import KEY
from tests.e2e.ingress.conftest import IMPATIENCE, SCALE
from tests.e2e.programs import PATIENCE
from tests.lifecycle.process import spec

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

MODEL = "gpt-4o-mini"
METADATA = (("authorization", f"Bearer {KEY}"),)
MIB = 1 << 20

WORDS = " ".join(f"word{number}" for number in range(10))
STEP = 0.2
PACED = f"repeat: {WORDS} [[fault:slow:{STEP}]]"

SILENCE = 90 / SCALE
"""Seconds for which the provider says nothing: longer than an unconfigured proxy waits."""

STALLED = f"repeat: {WORDS} [[fault:stall:4]]"
"""The provider sends four events, of which the first has no text, and waits for the client to go."""

TOO_LARGE = "x" * (16 * MIB + MIB // 2)
"""Over the gateway's limit; under those of the proxies, and of the gRPC library in the gateway."""


async def ask(client, prompt, **options):
    messages = [{"role": "user", "content": prompt}]
    return await client.chat.completions.create(model=MODEL, messages=messages, **options)


@asynccontextmanager
async def http_texts(ingress, prompt):
    """The texts of a stream of the OpenAI door."""

    async def texts(stream):
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    async with ingress.openai() as client, await ask(client, prompt, stream=True) as stream:
        yield texts(stream)


@asynccontextmanager
async def grpc_texts(ingress, prompt):
    """The texts of a stream of the gRPC door."""

    async def texts(call):
        async for event in call:
            if event.HasField("delta"):
                yield event.delta.text

    async with ingress.channel() as channel:
        request = pb.StreamChatCompletionRequest(spec=spec(prompt))
        stub = InferenceServiceStub(channel)
        call = stub.StreamChatCompletion(request, metadata=METADATA, timeout=PATIENCE)
        yield texts(call)
        call.cancel()


async def http_whole(ingress, prompt):
    async with ingress.openai() as client:
        answer = await ask(client, prompt)
    return answer.choices[0].message.content


async def grpc_whole(ingress, prompt):
    async with ingress.channel() as channel:
        request = pb.CreateChatCompletionRequest(spec=spec(prompt))
        create = InferenceServiceStub(channel).CreateChatCompletion
        return (await create(request, metadata=METADATA, timeout=PATIENCE)).text


STREAMS = pytest.mark.parametrize("open_stream", [http_texts, grpc_texts], ids=["openai", "grpc"])
WHOLE = pytest.mark.parametrize("ask_whole", [http_whole, grpc_whole], ids=["openai", "grpc"])


async def until_counted(ingress, state, before):
    counts = ingress.simulator.counts
    await ingress.simulator.until(lambda: counts()[state] > before[state], timeout=PATIENCE)


@WHOLE
async def test_a_whole_answer(ingress, ask_whole):
    assert await ask_whole(ingress, f"repeat: {WORDS}") == WORDS


@STREAMS
async def test_pieces_come_at_the_providers_pace(ingress, open_stream):
    arrivals, text = [], ""
    async with open_stream(ingress, PACED) as texts:
        async for piece in texts:
            arrivals.append(time.monotonic())
            text += piece
    assert text == WORDS
    assert len(arrivals) >= len(WORDS.split())
    spread = arrivals[-1] - arrivals[0]
    assert spread > 0.7 * STEP * (len(arrivals) - 1)
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert max(gaps) < spread / 2, "they came in bunches"


@STREAMS
async def test_no_piece_waits_for_the_next_and_a_client_that_leaves_reaches_the_provider(
    ingress, open_stream
):
    before = ingress.simulator.counts()
    async with open_stream(ingress, STALLED) as texts:
        text, words = "", " ".join(WORDS.split()[:3])
        while text != words:  # those that come together may be joined
            text += await anext(texts)
            assert words.startswith(text)
        assert ingress.simulator.counts()["open"] > 0
    await until_counted(ingress, "aborted", before)


@WHOLE
async def test_a_caller_of_a_whole_answer_that_leaves_reaches_the_provider(ingress, ask_whole):
    before = ingress.simulator.counts()
    asking = asyncio.create_task(ask_whole(ingress, "hello [[fault:hang]]"))
    await ingress.simulator.until(
        lambda: ingress.simulator.counts()["open"] > before["open"], timeout=PATIENCE
    )
    asking.cancel()
    await until_counted(ingress, "aborted", before)


@WHOLE
async def test_a_whole_answer_that_takes_long(ingress, ask_whole):
    prompt = f"repeat: {WORDS} [[fault:latency:{SILENCE}]]"
    assert await ask_whole(ingress, prompt) == WORDS


@STREAMS
async def test_a_stream_that_is_silent_for_long(ingress, open_stream):
    prompt = f"repeat: {WORDS} [[fault:first-byte:{SILENCE}]]"
    async with open_stream(ingress, prompt) as texts:
        assert "".join([text async for text in texts]) == WORDS


@pytest.mark.parametrize("fault", ["first-byte", "slow"], ids=["before", "between"])
async def test_comments_keep_a_stream_alive_that_an_impatient_proxy_would_end(impatient, fault):
    assert SILENCE > IMPATIENCE
    async with http_texts(impatient, f"repeat: word [[fault:{fault}:{SILENCE}]]") as texts:
        assert "".join([text async for text in texts]) == "word"


async def test_what_has_no_comments_is_ended_by_an_impatient_proxy(impatient):
    """Shows that the time-out of the test above is in force: a whole answer cannot be begun."""
    with pytest.raises(openai.APIStatusError) as caught:
        await http_whole(impatient, f"hello [[fault:latency:{SILENCE}]]")
    assert caught.value.status_code == 504


async def test_the_gateway_refuses_a_large_body_in_openais_form(ingress):
    async with ingress.openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await ask(client, TOO_LARGE)
    assert caught.value.status_code == 413
    assert caught.value.code == "request_too_large"
    assert str(16 * MIB) in caught.value.message


async def test_the_gateway_refuses_a_large_message_with_its_reason(ingress):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await grpc_whole(ingress, TOO_LARGE)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(caught.value) == "PAYLOAD_TOO_LARGE"


async def test_a_stream_that_breaks_off_says_so(ingress):
    prompt = f"repeat: {WORDS} [[fault:reset-midway]]"
    with pytest.raises(openai.APIError) as http:
        async with http_texts(ingress, prompt) as texts:
            [text async for text in texts]
    assert http.value.code == "upstream_truncated"
    with pytest.raises(grpc.aio.AioRpcError) as rpc:
        async with grpc_texts(ingress, prompt) as texts:
            [text async for text in texts]
    assert reason_of(rpc.value) == "UPSTREAM_TRUNCATED"


@pytest.mark.parametrize("name", ["", SERVICE], ids=["alive", "ready"])
async def test_health(ingress, name):
    async with ingress.channel() as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        answer = await check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def reason_of(error):
    """Return the reason of the `ErrorInfo` that a status carries."""
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return None
