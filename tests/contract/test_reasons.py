"""The error table, row by row, as each door shows it: the doors may not drift apart."""

from __future__ import annotations

import json
import math

import grpc.aio
import httpx2
import pytest

from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.errors import HTTP_ONLY, TABLE, Reason, ServiceError
from service.http_server import HttpServer
from service.observability.metrics import Metrics
from service.openai_http.app import build_app
from service.readiness import Readiness, State
from service.rpc.status import from_rpc_error
from service.stages import Stages
from tests.contract.conftest import far, piped
from tests.contract.doors import chosen, serving
from tests.contract.scripted import METHODS, MODEL, STREAM, ScriptedInference, delta, started

pytestmark = pytest.mark.anyio

REASONS = sorted(set(Reason) - HTTP_ONLY)
WHOLE = METHODS["create_chat_completion"][0]
RETRIED_BY_SDKS = (408, 409, 429)
KEY = (("authorization", "Bearer the-key"),)


@pytest.fixture(scope="module")
def script():
    return ScriptedInference()


@pytest.fixture(scope="module")
def ready():
    readiness = Readiness()
    readiness.move_to(State.READY)
    return readiness


@pytest.fixture(scope="module")
async def stub(script, ready):
    async with (
        serving(piped(script, ready), Metrics("test"), ready) as (target, _),
        grpc.aio.insecure_channel(target) as channel,
    ):
        yield InferenceServiceStub(channel)


@pytest.fixture(scope="module", params=["all", "split"])
async def client(request, script, ready):
    """A client of the OpenAI door, in front of the service in this process or in another."""
    service = piped(script, ready)
    if request.param == "all":
        async with door(service, ready) as client:
            yield client
    else:
        async with far(service) as remote, door(piped(remote, ready), ready) as client:
            yield client


class door:  # noqa: N801  # used like a function
    """The OpenAI door around a port, and a client of it."""

    def __init__(self, api, readiness):
        app = build_app(api, chosen(), Metrics("test"), readiness, Stages())
        self._server = HttpServer(app, "127.0.0.1", 0, None)

    async def __aenter__(self):
        url = f"http://127.0.0.1:{self._server.bind()}/v1"
        await self._server.start()
        headers = {"authorization": "Bearer the-key"}
        self._client = httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False)
        return self._client

    async def __aexit__(self, *_):
        await self._client.aclose()
        await self._server.stop(0)


def error_of(reason):
    return ServiceError(reason, f"It failed: {reason}.")


def fail(script, reason):
    script.failure = error_of(reason)
    script.events = [script.failure]


def question(**fields):
    return {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **fields}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("name", ["CreateChatCompletion", "StreamChatCompletion"])
async def test_grpc_ends_with_the_code_and_the_reason(stub, script, reason, name):
    fail(script, reason)
    rpc = getattr(stub, name)(WHOLE if name.startswith("Create") else STREAM, metadata=KEY)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await (rpc if name.startswith("Create") else rpc.read())
    assert failure.value.code().value[0] == TABLE[reason].grpc_code
    error = from_rpc_error(failure.value)
    assert (error.reason, error.message) == (reason, f"It failed: {reason}.")
    assert error.retry_after == TABLE[reason].retry_after


@pytest.mark.parametrize("reason", REASONS)
async def test_grpc_ends_alike_midway(stub, script, reason):
    script.events = [started(), delta("Hi"), error_of(reason)]
    rpc = stub.StreamChatCompletion(STREAM, metadata=KEY)
    assert [await rpc.read(), await rpc.read()] == [started(), delta("Hi")]
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await rpc.read()
    assert failure.value.code().value[0] == TABLE[reason].grpc_code
    assert from_rpc_error(failure.value).reason is reason


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_http_answers_with_the_status_and_the_object(client, script, reason, stream):
    fail(script, reason)
    answer = await client.post("/chat/completions", json=question(stream=stream))
    row = TABLE[reason]
    assert answer.status_code == row.http_status
    error = answer.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert (error["type"], error["code"]) == (row.type, row.code)
    assert error["message"] == f"It failed: {reason}."
    if row.retry_after is not None:
        assert answer.headers["retry-after"] == str(math.ceil(row.retry_after))
    elif row.http_status in RETRIED_BY_SDKS or row.http_status >= 500:
        assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("reason", REASONS)
async def test_sse_ends_midway_with_the_object_and_nothing_more(client, script, reason):
    script.events = [started(), delta("Hi"), error_of(reason)]
    answer = await client.post("/chat/completions", json=question(stream=True))
    assert answer.status_code == 200
    frames = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    error = json.loads(frames[-1])["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert (error["type"], error["code"]) == (TABLE[reason].type, TABLE[reason].code)
    assert "[DONE]" not in answer.text
    chunks = [json.loads(frame) for frame in frames[:-1]]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * len(chunks)
