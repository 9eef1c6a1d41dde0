"""A key, wherever a caller may put one, never comes out again."""

from __future__ import annotations

import grpc
import httpx2
import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1 import inference_service_pb2_grpc
from tests.lifecycle.process import spec

pytestmark = pytest.mark.timeout(180)  # starting processes takes seconds each

CANARY = "canary-5f3c9e7a1b"
AUTH = {"authorization": f"Bearer {CANARY}"}
CHAT = "/v1/chat/completions"

FAULTS = (
    "",
    "[[fault:unauthorized-old]]",
    "[[fault:internal-error]]",
    "[[fault:ok-but-html]]",
    "[[fault:reset]]",
    "[[fault:reset-midway]]",
    "[[fault:close-midway]]",
    "[[fault:error-midway]]",
    "[[fault:invalid-json]]",
    "[[fault:bad-event]]",
    "[[fault:rate-limited-plain]]",
)
"""Prompts; each takes another way out of the core."""


def _body(prompt="hello", **more):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], **more}


def _http_requests():
    for prompt in FAULTS:
        for stream in (True, False):
            yield "POST", CHAT, {"headers": AUTH, "json": _body(prompt, stream=stream)}
    yield "POST", CHAT, {"headers": {"authorization": f"Basic {CANARY}"}, "json": _body()}
    yield "POST", CHAT, {"headers": {"authorization": CANARY}, "json": _body()}
    yield "POST", CHAT, {"headers": {"authorization": f"Bearer {CANARY} {CANARY}"}, "json": _body()}
    for name in (
        "x-api-key",
        "api-key",
        "cookie",
        "proxy-authorization",
        "x-request-id",
        "x-other",
    ):
        yield "POST", CHAT, {"headers": {name: f"{CANARY}/"}, "json": _body()}
    yield "POST", f"{CHAT}?api_key={CANARY}", {"headers": AUTH, "json": _body()}
    yield "POST", CHAT, {"headers": AUTH, "json": _body(user=CANARY, api_key=CANARY)}
    yield "POST", CHAT, {"headers": AUTH, "json": _body(temperature=f"Bearer {CANARY}")}
    yield "POST", CHAT, {"headers": AUTH, "content": CANARY}
    yield "GET", "/v1/models", {"headers": AUTH}
    yield "GET", f"/?key={CANARY}", {"headers": AUTH}
    yield "GET", f"/health?key={CANARY}", {"headers": AUTH}
    yield "DELETE", CHAT, {"headers": AUTH}


def _grpc_calls(channel):
    stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
    good = [("authorization", f"Bearer {CANARY}")]
    for prompt in FAULTS:
        request = pb.CreateChatCompletionRequest(spec=spec(prompt))
        yield lambda request=request: stub.CreateChatCompletion(request, metadata=good)
        request = pb.StreamChatCompletionRequest(spec=spec(prompt))
        yield lambda request=request: list(stub.StreamChatCompletion(request, metadata=good))
    for metadata in (
        [("authorization", CANARY)],
        [("authorization", f"Bearer {CANARY}"), ("authorization", f"Bearer {CANARY}")],
        [("x-api-key", CANARY)],
        [("key-bin", CANARY.encode())],
        [("x-request-id", f"{CANARY}/")],
    ):
        yield lambda metadata=metadata: stub.ListModels(pb.ListModelsRequest(), metadata=metadata)
    broken = channel.unary_unary("/onemin.inference.v1.InferenceService/ListModels")
    yield lambda: broken(CANARY.encode(), metadata=good)


def _what_callers_see(gateway):
    """Make every call and return all that came back."""
    for method, url, options in _http_requests():
        try:
            with gateway.http.stream(method, url, **options) as answer:
                yield repr(answer.headers.raw)
                yield from answer.iter_text()
        except httpx2.RemoteProtocolError as error:
            yield repr(error)
    for call in _grpc_calls(gateway.channel):
        try:
            yield repr(call())
        except grpc.RpcError as error:
            yield repr((error, error.initial_metadata(), error.trailing_metadata()))


def test_a_key_appears_in_no_answer_metric_or_log_line(start):
    with start(log_level="debug", total_timeout=10, stream_timeout=10) as gateway:
        answers = list(_what_callers_see(gateway))
        metrics = gateway.metrics()
        gateway.send()
        assert gateway.exit_code() == 0
    log = "".join(gateway.printed)
    assert len(answers) > len(FAULTS) * 4
    assert log.count('"event":"call"') > len(FAULTS) * 4
    assert not [text for text in [*answers, metrics, *gateway.printed] if CANARY in text]


def test_a_key_in_a_models_place_is_not_logged_or_counted(start):
    """A caller who mistakes the fields gets the name back, and nobody else sees it."""
    with start(log_level="debug") as gateway:
        wrong = _body() | {"model": CANARY}
        answer = gateway.http.post(CHAT, headers={"authorization": "Bearer other"}, json=wrong)
        assert answer.status_code == 404, "".join(gateway.printed)
        gateway.http.get(f"/v1/models/{CANARY}", headers={"authorization": "Bearer other"})
        gateway.http.get(f"/{CANARY}")
        metrics = gateway.metrics()
        gateway.send()
        assert gateway.exit_code() == 0
    assert CANARY not in metrics
    assert CANARY not in "".join(gateway.printed)
