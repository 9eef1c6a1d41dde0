"""Requests that are small to send and dear to serve: each is answered, and a neighbour all along.

How long the event loop is held is measured by `make bench`.
"""

from __future__ import annotations

import json

import grpc
import pytest

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from tests.hostile.wire import (
    AUTH,
    CHAT,
    JSON,
    Neighbour,
    ask,
    chat,
    conversation,
    http,
    rpc,
    spec,
)

pytestmark = pytest.mark.anyio

MIB = 1 << 20
QUARTER = MIB // 4
LIMIT = 16 * MIB
START = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}'


def flood(item, head=START + b"],", name=b'"x":[', end=b"]}"):
    """A body of nearly 16 MiB that repeats an item."""
    room = LIMIT - len(head) - len(name) - len(end) - 1
    return head + name + b",".join([item] * (room // (len(item) + 1))) + end


def messages(item):
    return flood(item, b'{"model":"gpt-4o-mini",', b'"messages":[')


def calls(item):
    return flood(item, START, b',{"role":"assistant","tool_calls":[', b"]}]}")


FLOODS = {
    "empty messages": messages(b"{}"),
    "messages": messages(b'{"role":"user","content":"x"}'),
    "empty parts": flood(b"{}", START, b',{"role":"user","content":[', b"]}]}"),
    "empty tool calls": calls(b"{}"),
    "tool calls": calls(b'{"function":{"name":"a"}}'),
    "an unknown field": flood(b"{}"),
    "numbers": flood(b"1"),
    "texts": flood(b'""'),
    "tools": flood(b"{}", name=b'"tools":['),
    "an ignored field": flood(b"[]", name=b'"prediction":{"x":[', end=b"]}}"),
    "stop sequences": flood(b'"a"', name=b'"stop":['),
    "keys": flood(b'"a":1', name=b'"logit_bias":{', end=b"}}"),
    "nesting": START + b'],"x":' + b"[" * (15 * MIB),
}


@pytest.mark.parametrize("body", FLOODS.values(), ids=FLOODS)
async def test_a_flood_of_values_is_refused_unparsed(gateway, body):
    assert len(body) <= LIMIT
    async with Neighbour(gateway):
        answer = await ask(gateway.http_url, chat(body))
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


LARGE = {
    "a million spaces": " " * MIB,
    "a million spaces and a letter": " " * MIB + "a",
    "one letter": "a" * QUARTER,
    "line ends": "\n" * QUARTER,
    "Chinese": "\u6c49" * (QUARTER // 2),
    "emoji": "\U0001f469\u200d\U0001f469" * (QUARTER // 8),
    "combining marks": "e" + "\u0301" * (QUARTER // 2),
    "structure that is text": "[{,}]" * (QUARTER // 5),
    "quotes and backslashes": '\\"' * (QUARTER // 2),
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
async def test_a_hard_text_is_answered_and_counted(gateway, text, log):
    async with Neighbour(gateway):
        answer = await ask(gateway.http_url, chat(conversation(text, max_tokens=5)))
        counted = await rpc(gateway, "CountTokens", pb.CountTokensRequest(spec=spec(text)))
    assert answer.status == 200, answer.body
    assert json.loads(answer.body)["usage"]["prompt_tokens"] > 0
    assert await counted.code() is grpc.StatusCode.OK
    assert "tokens_estimated" not in log.text


ODD = {
    "10^5 messages": (
        conversation() | {"messages": [{"role": "user", "content": "x"}] * 100_000},
        413,
        "request_too_large",
    ),
    "2049 messages": (
        conversation() | {"messages": [{"role": "user", "content": "x"}] * 2049},
        400,
        "array_above_max_length",
    ),
    "10^4 nested arrays": (START + b'],"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, None),
    "10^4 nested objects": (
        START + b'],"metadata":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
        400,
        None,
    ),
    "a number without end": (
        START + b'],"temperature":1' + b"0" * MIB + b"}",
        400,
        None,
    ),
    "1e400": (START + b'],"temperature":1e400}', 400, "invalid_value"),
    "-1e400": (START + b'],"frequency_penalty":-1e400}', 400, "invalid_value"),
    "1e-400": (START + b'],"temperature":1e-400}', 200, None),
    "1e400 where nobody looks": (START + b'],"x":1e400}', 200, None),
    "10^400 tokens": (START + b'],"max_tokens":1' + b"0" * 400 + b"}", 400, None),
    "not a number": (START + b'],"temperature":NaN}', 400, None),
    "a key twice": (START + b'],"stream":true,"stream":false}', 200, None),
    "a model twice": (START + b'],"model":"no-such-model"}', 404, "model_not_found"),
    "a lone surrogate": (
        b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"\\ud800"}]}',
        400,
        None,
    ),
    "a surrogate in UTF-8": (
        b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        400,
        None,
    ),
    "an overlong NUL": (
        b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"\xc0\x80"}]}',
        400,
        None,
    ),
    "NUL": (conversation("a\0b"), 200, None),
    "nothing": (conversation(""), 200, None),
    "a blank": (conversation(" \n"), 200, None),
    "no parts": (conversation([]), 200, None),
    "a long model": (conversation(model="m" * MIB), 400, "string_above_max_length"),
    "a long name": (
        conversation() | {"messages": [{"role": "user", "name": "n" * MIB, "content": ""}]},
        400,
        "string_above_max_length",
    ),
    "a long stop": (conversation(stop="s" * MIB), 400, "string_above_max_length"),
    "a long role": (
        conversation() | {"messages": [{"role": "r" * MIB, "content": ""}]},
        400,
        "invalid_value",
    ),
}


@pytest.mark.parametrize(("body", "status", "code"), ODD.values(), ids=ODD)
async def test_an_odd_body_has_one_short_answer(gateway, body, status, code):
    async with Neighbour(gateway):
        answer = await ask(gateway.http_url, chat(body))
    assert answer.status == status, answer.body
    if status != 200:
        assert code in (None, answer.error["code"])
        assert len(answer.body) < 2048


async def test_a_body_without_an_end_is_refused_at_the_limit(gateway):
    head = http("POST", CHAT, AUTH, JSON, "Transfer-Encoding: chunked", framed=False)
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    async with Neighbour(gateway):
        answer = await ask(gateway.http_url, head, *[chunk] * 600)
    assert answer.status == 413


async def test_an_announced_gigabyte_is_refused_before_it_comes(gateway):
    head = http("POST", CHAT, AUTH, JSON, "Content-Length: 1073741824", framed=False)
    answer = await ask(gateway.http_url, head)
    assert answer.status == 413


def many(count, **fields):
    messages = [chat_pb2.ChatMessage(**fields)] * count
    return pb.CreateChatCompletionRequest(
        spec=chat_pb2.ChatCompletionSpec(model="gpt-4o-mini", messages=messages)
    )


def many_parts(count):
    return many(1, role=chat_pb2.CHAT_ROLE_USER, parts=[chat_pb2.ContentPart(text="x")] * count)


def many_stops(count):
    stops = chat_pb2.SamplingConfig(stop_sequences=[""] * count)
    return pb.CreateChatCompletionRequest(spec=spec(sampling=stops))


def nested(payload):
    """A request whose spec is these bytes; built of objects it would take gigabytes here too."""
    size = len(payload)
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21])
    return b"\x0a" + length + payload


TOO_LARGE = (grpc.StatusCode.RESOURCE_EXHAUSTED, b"PAYLOAD_TOO_LARGE")
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, b"INVALID_FIELD")
MESSAGES = {
    "10^5 messages": (many(100_000, role=chat_pb2.CHAT_ROLE_USER), TOO_LARGE),
    "10^5 parts": (many_parts(100_000), TOO_LARGE),
    "10^5 stop sequences": (many_stops(100_000), TOO_LARGE),
    "16 MiB of empty messages": (nested(b"\x12\x00" * (8 * MIB - 9)), TOO_LARGE),
    "16 MiB of unknown fields": (b"\xf8\x01\x01" * (5 * MIB), TOO_LARGE),
    "as many empty messages as are parsed": (many(30_000), INVALID),
    "as many stop sequences as are parsed": (many_stops(30_000), INVALID),
    "2049 messages": (many(2049, role=chat_pb2.CHAT_ROLE_USER), INVALID),
    "2048 messages without a role": (many(2048), INVALID),
    "257 parts": (many_parts(257), INVALID),
    "text that is not UTF-8": (
        pb.CreateChatCompletionRequest(spec=spec("xx"))
        .SerializeToString()
        .replace(b"xx", b"\xff\xfe"),
        INVALID,
    ),
    "nothing but a length": (b"\x0a\xff\xff\xff\xff\x0f", INVALID),
    "garbage": (bytes(range(255, 0, -1)) * 1000, INVALID),
    "a byte more than the limit": (
        pb.CreateChatCompletionRequest(spec=spec("x" * LIMIT)),
        TOO_LARGE,
    ),
}


@pytest.mark.parametrize("method", ["StreamChatCompletion", "CountTokens"])
@pytest.mark.parametrize(("request_", "refusal"), MESSAGES.values(), ids=MESSAGES)
async def test_a_message_that_is_too_much_is_refused(gateway, method, request_, refusal):
    code, reason = refusal
    async with Neighbour(gateway):
        call = await rpc(gateway, method, request_)
    assert await call.code() is code
    assert reason in dict(await call.trailing_metadata())["grpc-status-details-bin"]


async def test_a_message_over_the_library_s_limit_is_refused(gateway):
    call = await rpc(gateway, "CountTokens", bytes(18 * MIB))
    assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_unknown_fields_are_skipped(gateway):
    request = pb.GetModelRequest(id="gpt-4o").SerializeToString() + b"\xf8\x01\x01\xfa\x01\x02hi"
    call = await rpc(gateway, "GetModel", request)
    assert await call.code() is grpc.StatusCode.OK
