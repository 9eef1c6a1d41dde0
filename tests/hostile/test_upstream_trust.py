"""A provider that is not to be trusted: no key goes elsewhere, nothing is unpacked or kept."""

from __future__ import annotations

import gzip
import json

import grpc
import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from service.upstream import stream as upstream_stream
from tests.conftest import all_in_one
from tests.hostile.provider import STREAM, Provider, content, endless, fixed
from tests.hostile.wire import KEY, ask, chat, conversation, rpc, spec

pytestmark = pytest.mark.anyio

MIB = 1 << 20
RECORD = json.dumps(
    {"aiRecord": {"status": "SUCCESS", "aiRecordDetail": {"resultObject": ["hello"]}}}
).encode()


def whole(*lines, body=RECORD, status="200 OK"):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


async def each_way(gateway, prompt="hello"):
    """Ask by both doors, whole and streamed; yield the error codes, None for a success."""
    for stream in (False, True):
        answer = await ask(gateway.http_url, chat(conversation(prompt, stream=stream)))
        broken = b'data: {"error"' in answer.body
        yield (answer.error["code"] if answer.status != 200 else "broken" if broken else None)
    for method in ("CreateChatCompletion", "StreamChatCompletion"):
        request = pb.CreateChatCompletionRequest(spec=spec(prompt))
        call = await rpc(gateway, method, request)
        code = await call.code()
        yield None if code is grpc.StatusCode.OK else code.name


def over(provider, **settings):
    return all_in_one(provider, retries="false", **settings)


REDIRECTS = [
    f"{status} {reason}"
    for status, reason in (
        (300, "Choices"),
        (301, "Moved"),
        (302, "Found"),
        (303, "Other"),
        (305, "Proxy"),
        (307, "Again"),
        (308, "For good"),
    )
]


@pytest.mark.parametrize("status", REDIRECTS)
async def test_no_key_goes_where_a_redirect_leads(status):
    async with Provider(fixed(whole())).running() as second:
        lines = [f"Location: {second.url}/api/chat-with-ai", f"Refresh: 0; url={second.url}"]
        lines += [f"Link: <{second.url}>; rel=preload", f'Alt-Svc: h2="{second.url[7:]}"']
        first = Provider(fixed(whole(*lines, status=status)))
        async with first.running(), over(first) as gateway:
            endings = [ending async for ending in each_way(gateway)]
        assert None not in endings
        assert second.requests == []
        keyed = [request for request in first.requests if KEY.encode() in request]
        assert len(keyed) == 4
        assert all(
            request.count(KEY.encode()) == 1 for request in first.requests if request in keyed
        )


async def test_the_list_of_models_is_asked_for_without_a_key(simulator):
    async with all_in_one(simulator) as gateway:
        async for ending in each_way(gateway):
            assert ending is None
    listings = [each for each in simulator.seen if each.path == "/models"]
    assert listings
    assert all("api-key" not in each.headers for each in listings)


async def test_no_cookie_is_kept_or_handed_on():
    provider = Provider(fixed(whole("Set-Cookie: track=caller; Path=/")))
    async with provider.running(), over(provider) as gateway:
        for _ in range(2):
            answer = await ask(gateway.http_url, chat(conversation()))
            assert answer.status == 200
            assert "set-cookie" not in answer.headers
    assert all(b"cookie" not in request.lower() for request in provider.requests)


BOMB = gzip.compress(RECORD + b" " * (64 * MIB))
BOMBS = {
    "gzip": whole("Content-Encoding: gzip", body=BOMB),
    "twice": whole("Content-Encoding: gzip, gzip", body=gzip.compress(BOMB)),
    "br": whole("Content-Encoding: br", body=b"\x00" * 1000),
    "zstd": whole("Content-Encoding: zstd", body=b"\x28\xb5\x2f\xfd" * 1000),
    "unknown": whole("Content-Encoding: x", body=RECORD),
}


@pytest.mark.parametrize("answer", BOMBS.values(), ids=BOMBS)
async def test_nothing_is_unpacked(answer):
    provider = Provider(fixed(answer))
    async with provider.running(), over(provider) as gateway:
        endings = [ending async for ending in each_way(gateway)]
    assert endings == ["upstream_error"] * 2 + ["INTERNAL"] * 2
    assert all(b"accept-encoding: identity" in request.lower() for request in provider.requests)


@pytest.fixture
def small(monkeypatch):
    """Limits of the provider's answers that a test reaches quickly."""
    monkeypatch.setattr(upstream_stream, "MAX_EVENT_BYTES", MIB // 4)
    monkeypatch.setattr(upstream_stream, "MAX_BODY_BYTES", MIB)


@pytest.mark.usefixtures("small")
async def test_an_endless_stream_is_cut():
    provider = Provider(endless)
    async with provider.running(), over(provider) as gateway:
        answer = await ask(gateway.http_url, chat(conversation(stream=True)))
        assert answer.status == 200
        assert b'"code":"upstream_error"' in answer.body
        assert b"[DONE]" not in answer.body
        assert len(answer.body) < 4 * MIB
        request = pb.StreamChatCompletionRequest(spec=spec())
        call = await rpc(gateway, "StreamChatCompletion", request)
        assert await call.code() is grpc.StatusCode.INTERNAL


GIANTS = {
    "a giant event": (STREAM, content("x" * MIB)),
    "a line without an end": (STREAM, b"data: ", b"x" * MIB),
    "data lines without an end": (STREAM, b"data: x\n" * (MIB // 8)),
    "a name without an end": (STREAM, b"event: " + b"x" * MIB),
    "a comment without an end": (STREAM, b": " + b"x" * MIB),
    "blank lines without an end": (STREAM, *[b"\n" * (MIB // 4)] * 6),
    "comments without an end": (STREAM, *[b": x\n\n" * (MIB // 20)] * 6),
    "headers without an end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MIB,),
    "a header without an end": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * MIB,),
    "a status without an end": (b"HTTP/1.1 200 " + b"y" * MIB,),
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("pieces", GIANTS.values(), ids=GIANTS)
async def test_a_giant_is_refused_within_bounds(pieces):
    provider = Provider(fixed(*pieces))
    async with provider.running(), over(provider) as gateway:
        answer = await ask(gateway.http_url, chat(conversation(stream=True)))
        call = await rpc(
            gateway, "StreamChatCompletion", pb.StreamChatCompletionRequest(spec=spec())
        )
    assert answer.status == 502, answer.body[:200]
    assert await call.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)


DEEP = b"[" * 100_000
ODD = {
    "nesting": whole(body=DEEP),
    "nesting in a record": whole(body=b'{"aiRecord":' + DEEP + b"]" * 100_000 + b"}"),
    "a flood of values": whole(body=b'{"aiRecord":{},"x":[' + b"{}," * (MIB // 4) + b"{}]}"),
    "a flood of texts": whole(
        body=b'{"aiRecord":{"aiRecordDetail":{"resultObject":[' + b'"",' * (MIB // 4) + b'"x"]}}}'
    ),
    "an endless number": whole(
        body=b'{"aiRecord":{"metadata":{"totalToken":1' + b"0" * MIB + b"}}}"
    ),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
async def test_an_odd_record_ends_in_one_way(answer):
    provider = Provider(fixed(answer))
    async with provider.running(), over(provider) as gateway:
        endings = [ending async for ending in each_way(gateway)]
    assert {
        ending in (None, "upstream_error", "upstream_empty", "INTERNAL") for ending in endings
    } == {True}
