"""Headers decide nothing but what they are for, go nowhere by themselves, and forge no others."""

from __future__ import annotations

import re

import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from tests.hostile.wire import AUTH, ask, chat, conversation, http, rpc, spec

pytestmark = pytest.mark.anyio

HOSTS = {
    "another": b"evil.example",
    "with user and fragment": b"gateway#@evil.example",
    "a path": b"gateway/v1/models?",
    "a path to open": b"gateway/health#",
    "traversal": b"../../health",
    "blank": b"",
    "a port": b"gateway:99999999",
    "IPv6": b"[::1",
    "quotes": b"\"'<script>",
    "not ASCII": b"\xff\xfe",
    "16 kB": b"h" * 16_000,
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/models", (), 401),
        ("/v1/models", (AUTH,), 200),
        ("/health", (), 200),
        ("/nowhere", (AUTH,), 404),
    ],
)
async def test_neither_route_nor_key_depends_on_the_host(gateway, host, path, key, status):
    request = http("GET", path, *key).replace(b"Host: gateway", b"Host: " + host)
    answer = await ask(gateway.http_url, request)
    assert answer.status == status
    assert b"evil" not in answer.body
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/v1/models", "http://gateway/health/../v1/models", "//health/v1/models"],
)
async def test_a_target_with_a_host_opens_nothing(gateway, target):
    answer = await ask(gateway.http_url, http("GET", target))
    assert answer.status in (401, 404)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/models/%0d%0aX-Evil:1",
        "/v1/models/%00",
        "/v1/models/%ff%fe",
        "/v1/models/%e2%80%a8",
        "/v1/models/..%2f..%2fhealth",
        "/v1/models/../../health",
        "/v1/models/%252e%252e",
    ],
)
async def test_a_model_id_may_hold_anything_and_is_unknown(gateway, target):
    answer = await ask(gateway.http_url, http("GET", target, AUTH))
    assert answer.status == 404
    assert answer.error["type"] == "invalid_request_error"
    assert "x-evil" not in answer.headers


SPOOFED = (
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Prefix: /health",
    "X-Original-URL: /health",
    "X-Rewrite-URL: /health",
    "X-HTTP-Method-Override: GET",
    "Forwarded: for=127.0.0.1;host=evil.example",
    "X-Real-IP: 127.0.0.1",
    "openai-version: 1",
    "x-onemin-ignored-params: evil",
    "x-onemin-model-substituted: evil",
    "x-should-retry: true",
    "retry-after: 1",
    "API-KEY: evil",
    "Cookie: a=evil",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "User-Agent: evil",
    "Accept-Encoding: gzip",
    "Expect: evil",
)
SENT_ON = {
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "api-key",
    "content-type",
    "content-length",
}


async def test_no_header_of_a_caller_is_sent_on_or_answered(gateway):
    answer = await ask(gateway.http_url, chat(conversation("spoofed headers"), *SPOOFED))
    assert answer.status == 200
    assert "evil" not in str(answer.headers)
    assert "x-should-retry" not in answer.headers
    sent = gateway.simulator.seen[-1].headers
    assert {name.lower() for name in sent} == SENT_ON
    assert "evil" not in str(sent)
    assert sent["api-key"] == "a-good-key"


async def test_no_metadata_of_a_caller_is_sent_on_or_answered(gateway):
    names = [line.partition(":") for line in SPOOFED if not line.startswith(("User-", "Expect"))]
    metadata = [(name.lower(), value.strip()) for name, _, value in names]
    request = pb.CreateChatCompletionRequest(spec=spec("spoofed metadata"))
    call = await rpc(
        gateway,
        "CreateChatCompletion",
        request,
        (("authorization", "Bearer a-good-key"), *metadata),
    )
    assert "evil" not in str(await call.initial_metadata())
    assert "evil" not in str(await call.trailing_metadata())
    sent = gateway.simulator.seen[-1].headers
    assert {name.lower() for name in sent} == SENT_ON
    assert "evil" not in str(sent)


NEW = re.compile(r"req_[0-9a-f]{32}")
IDS = {
    "safe": (b"abc-1.2:3_X", True),
    "128 characters": (b"a" * 128, True),
    "129 characters": (b"a" * 129, False),
    "16 kB": (b"a" * 16_000, False),
    "blank": (b"", False),
    "a space": (b"a b", False),
    "HTML": (b"<script>", False),
    "quotes": (b'a"b', False),
    "percent": (b"a%0d%0ab", False),
    "a tab": (b"a\tb", False),
    "not ASCII": ("\u00e9".encode(), False),
    "a line separator": ("a\u2028b".encode(), False),
}


@pytest.mark.parametrize(("value", "kept"), IDS.values(), ids=IDS)
@pytest.mark.parametrize("path", ["/v1/models", "/nowhere"])
async def test_an_id_is_echoed_only_when_it_is_safe(gateway, value, kept, path):
    answer = await ask(gateway.http_url, http("GET", path, AUTH, b"X-Request-ID: " + value))
    shown = answer.headers["x-request-id"]
    assert shown == value.decode() if kept else NEW.fullmatch(shown)
