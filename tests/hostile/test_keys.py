"""Without a key nothing answers but what is open to all; a key is opaque, whatever it looks like."""

from __future__ import annotations

import json

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from onemin.inference.v1 import inference_service_pb2 as pb
from service.openai_http.app import Routes
from service.settings import Settings
from service.stages import Stages
from tests.hostile.wire import (
    CHAT,
    JSON,
    METADATA,
    SERVICE,
    ask,
    channel,
    conversation,
    exchange,
    http,
    rpc,
    spec,
)

pytestmark = pytest.mark.anyio

OPEN_PATHS = {"/", "/health", "/openapi.json"}
ROUTES = [
    pytest.param(
        method, route.path.replace("{model_id:path}", "gpt-4o"), id=f"{method} {route.path}"
    )
    for route in Routes(None, Settings(), Stages())._router.routes
    for method in sorted(route.methods)
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("slash", ["", "/"], ids=["", "slash"])
async def test_no_route_answers_without_a_key_but_the_open_ones(gateway, method, path, slash):
    shown = path if path == "/" else path + slash
    answer = await ask(gateway.http_url, http(method, shown))
    assert answer.status == (200 if path in OPEN_PATHS else 401)


@pytest.mark.parametrize("name", SERVICE.methods_by_name)
async def test_no_rpc_answers_without_a_key(gateway, name):
    call = await rpc(gateway, name, b"", metadata=())
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_the_grpc_door_serves_nothing_else(gateway):
    async with channel(gateway) as opened:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(opened)
        async for answer in stub.ServerReflectionInfo(iter([request])):
            names = {each.name for each in answer.list_services_response.service}
        health = health_pb2_grpc.HealthStub(opened)
        assert await health.Check(health_pb2.HealthCheckRequest())
    assert names == {
        SERVICE.full_name,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


ELSEWHERE = {
    "x-api-key": "X-Api-Key: a-good-key",
    "api-key": "Api-Key: a-good-key",
    "the provider's header": "API-KEY: a-good-key",
    "cookie": "Cookie: Authorization=Bearer a-good-key",
    "proxy": "Proxy-Authorization: Bearer a-good-key",
    "with an underscore": "Authorization_: Bearer a-good-key",
    "forwarded": "X-Forwarded-Authorization: Bearer a-good-key",
}


@pytest.mark.parametrize("header", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_a_key_elsewhere_is_none(gateway, header):
    answer = await ask(gateway.http_url, http("GET", "/v1/models?api_key=a-good-key", header))
    assert answer.status == 401


MALFORMED = {
    "empty": "",
    "blank": " ",
    "no scheme": "a-good-key",
    "another scheme": "Basic a-good-key",
    "a scheme alone": "Bearer",
    "two keys": "Bearer a-good-key another",
    "SQL": "Bearer ' OR '1'='1",
    "513 characters": f"Bearer {'k' * 513}",
    "25 kB": f"Bearer {'k' * 25_000}",
    "look-alikes": b"Bearer " + "\u0430-good-k\u0435y".encode(),
    "full width": "Bearer \uff41".encode(),
    "not UTF-8": b"Bearer \xff\xfe",
    "a no-break space": b"Bearer a\xc2\xa0b",
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_key_is_refused_and_not_shown(gateway, value, log):
    raw = value if isinstance(value, bytes) else value.encode()
    request = http("POST", CHAT, b"Authorization: " + raw, JSON, body=b"not looked at")
    received = await exchange(gateway.http_url, request)
    assert b" 401 " in received.partition(b"\r\n")[0]
    for text in ("good", "k" * 20, "'1'='1"):
        assert text.encode() not in received
        assert text not in log.text


CUT = {
    "NUL": b"a\0b",
    "CR": b"a\rb",
    "LF": b"a\nb",
    "CRLF": b"a\r\n X: b",
    "ESC": b"a\x1bb",
    "DEL": b"a\x7fb",
}


@pytest.mark.parametrize("key", CUT.values(), ids=CUT)
async def test_a_key_with_control_characters_never_reaches_the_provider(gateway, key):
    body = json.dumps(conversation("control characters")).encode()
    before = len(gateway.simulator.seen)
    request = http("POST", CHAT, b"Authorization: Bearer " + key, JSON, body=body)
    received = await exchange(gateway.http_url, request)
    assert received.split(b" ")[1] in (b"400", b"401")
    assert all(
        "control characters" not in str(each.body) for each in [*gateway.simulator.seen][before:]
    )


OPAQUE = {
    "SQL": "'OR'1'='1';DROP--",
    "a template": "${jndi:ldap://x/a}{{7*7}}",
    "a path": "../../../../etc/passwd",
    "percent": "%0d%0aX-Evil:1%00",
    "JSON": '"},"model":"x"',
    "a prefix of another": "a-good-ke",
    "512 characters": "k" * 512,
}


@pytest.mark.parametrize("key", OPAQUE.values(), ids=OPAQUE)
async def test_any_other_key_is_handed_on_as_it_is(gateway, key):
    body = json.dumps(conversation(f"opaque {len(key)}")).encode()
    answer = await ask(
        gateway.http_url, http("POST", CHAT, f"Authorization: Bearer {key}", JSON, body=body)
    )
    assert answer.status == 200
    assert gateway.simulator.seen[-1].headers["api-key"] == key
    metadata = (("authorization", f"Bearer {key}"),)
    request = pb.CreateChatCompletionRequest(spec=spec(f"opaque {len(key)}"))
    call = await rpc(gateway, "CreateChatCompletion", request, metadata)
    assert await call.code() is grpc.StatusCode.OK
    assert gateway.simulator.seen[-1].headers["api-key"] == key


async def test_two_keys_are_none(gateway):
    two = ("Authorization: Bearer a-good-key", "Authorization: Bearer another")
    first = await exchange(gateway.http_url, http("GET", "/v1/models", *two))
    assert first.split(b" ")[1] == b"401"
    call = await rpc(gateway, "ListModels", b"", (*METADATA, ("authorization", "Bearer another")))
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
