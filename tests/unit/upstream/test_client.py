from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from contextlib import aclosing

import pytest
import structlog
from structlog.testing import capture_logs

from service.upstream import client as client_module
from service.upstream.client import chat_body
from service.upstream.errors import (
    UpstreamMalformed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from service.upstream.payloads import (
    ChatPayload,
    ChatRecord,
    ContentEvent,
    DoneEvent,
    WebSearch,
)
from tests.unit.upstream.calls import (
    DONE,
    KEY,
    SUCCESS,
    VENDOR_BUSY,
    ask,
    collect,
    content,
    kinds,
    stream,
)

pytestmark = pytest.mark.anyio


# What is sent


@pytest.mark.parametrize(
    ("web_search", "settings"),
    [
        (WebSearch(), {"webSearch": True}),
        (WebSearch(3, 1000), {"webSearch": True, "numOfSite": 3, "maxWord": 1000}),
        (WebSearch(max_words=1), {"webSearch": True, "maxWord": 1}),
    ],
)
def test_a_payload_with_web_search(web_search, settings):
    assert json.loads(chat_body(ChatPayload("m", "p", web_search)))["promptObject"] == {
        "prompt": "p",
        "settings": {"webSearchSettings": settings},
    }


async def test_a_whole_call(provider, replies, connect, data):
    provider.script = [replies.whole((data / "chat/success.json").read_bytes())]
    record = await ask(connect())
    assert record.text == "Seven is a prime number."
    [seen] = provider.seen
    assert (seen.method, seen.target) == ("POST", "/api/chat-with-ai")
    assert seen.headers["api-key"] == KEY
    assert json.loads(seen.body) == {
        "type": "UNIFY_CHAT_WITH_AI",
        "model": "gpt-4o-mini",
        "promptObject": {"prompt": "canary-prompt"},
    }


async def test_a_streamed_call(provider, replies, connect, data):
    provider.script = [replies.stream((data / "stream/basic.sse").read_bytes())]
    *pieces, result, done = await collect(stream(connect()))
    assert pieces == [ContentEvent(text) for text in ("Seven", " is a", " prime", " number.")]
    assert result.record.text == "Seven is a prime number."
    assert done == DoneEvent()
    [seen] = provider.seen
    assert (seen.method, seen.target) == ("POST", "/api/chat-with-ai?isStreaming=true")
    assert seen.headers["accept"] == "text/event-stream"
    assert json.loads(seen.body)["type"] == "UNIFY_CHAT_WITH_AI"


async def test_the_list_of_models(provider, replies, connect, data):
    provider.script = [replies.whole((data / "models/chat.json").read_bytes())]
    assert "gpt-5" in [model.id for model in await connect().list_models()]
    [seen] = provider.seen
    assert (seen.method, seen.target) == ("GET", "/models?feature=UNIFY_CHAT_WITH_AI")
    assert "api-key" not in seen.headers


# Answers that come whole


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        pytest.param({"body": b""}, UpstreamMalformed, id="empty"),
        pytest.param({"body": b"{"}, UpstreamMalformed, id="broken JSON"),
        pytest.param({"body": b"[]"}, UpstreamMalformed, id="an array"),
        pytest.param({"body": b"\xff"}, UpstreamMalformed, id="not UTF-8"),
        pytest.param({"body": b"{}"}, UpstreamMalformed, id="no record"),
        pytest.param({"body": b"[" * 100_000}, UpstreamMalformed, id="nested too deep"),
        pytest.param({"body": b" <html>"}, UpstreamUnavailable, id="a page by its looks"),
        pytest.param(
            {"body": b"x", "media_type": "text/html; charset=utf-8"},
            UpstreamUnavailable,
            id="a page by its type",
        ),
        pytest.param({"body": VENDOR_BUSY}, UpstreamRefused, id="an error under a success"),
        pytest.param({"status": "204 No Content"}, UpstreamMalformed, id="204"),
        pytest.param({"status": "304 Not Modified"}, UpstreamUnavailable, id="304"),
    ],
)
async def test_a_whole_answer_that_is_none(provider, replies, connect, reply, error):
    provider.script = [replies.whole(**reply)]
    with pytest.raises(error) as failed:
        await ask(connect())
    assert type(failed.value) is error


async def test_a_record_is_a_record_whatever_its_type(provider, replies, connect):
    provider.script = [replies.whole(SUCCESS, media_type="text/html")]
    assert await ask(connect()) == ChatRecord("hello")


@pytest.mark.parametrize(
    ("status", "name", "is_json"),
    [
        ("400 Bad Request", "unsupported_model_chat.json", True),
        ("401 Unauthorized", "unauthorized_docs.json", True),
        ("403 Forbidden", "forbidden_cloudflare_1010.txt", False),
        ("406 Not Acceptable", "insufficient_credits.json", True),
        ("429 Too Many Requests", "rate_limited_retry_after.json", True),
        ("500 Internal Server Error", "empty_body_500.txt", False),
        ("502 Bad Gateway", "bad_gateway_502.html", False),
        ("522 Connection Timed Out", "origin_timeout_522.html", False),
    ],
)
@pytest.mark.parametrize("call", ["whole", "stream"])
async def test_refusals(provider, replies, connect, data, count, status, name, is_json, call):
    body = (data / "errors" / name).read_bytes()
    provider.script = [
        replies.whole(body, status, "text/html" if not is_json else "application/json")
    ]
    client = connect()
    [error] = await collect(stream(client)) if call == "stream" else [await outcome(ask(client))]
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.is_json) == (int(status[:3]), is_json)
    operation = "stream_chat" if call == "stream" else "chat"
    assert count("requests", operation=operation, outcome=f"refused_{status[:3]}") == 1
    assert len(provider.seen) == 1


async def outcome(awaitable):
    try:
        return await awaitable
    except Exception as error:  # noqa: BLE001  # it is what the tests look at
        return error


@pytest.mark.parametrize(
    "headers", [["Retry-After: 17"], ["Retry-After: 1", "Retry-After: 17"]], ids=["one", "two"]
)
async def test_the_last_wait_in_the_headers_counts(provider, replies, connect, headers):
    provider.script = [replies.whole(b"{}", "429 Too Many Requests", headers=headers)]
    assert (await outcome(ask(connect()))).retry_after == 17


async def test_the_body_of_a_refusal_is_read_within_bounds(provider, replies, connect):
    provider.script = [
        replies.raw(b"HTTP/1.1 400 No\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000)
    ]
    error = await outcome(ask(connect()))
    assert (error.status, error.message, error.is_json) == (400, "No", False)
    await provider.until(lambda: not provider.open, 1.0)


async def test_a_refusal_whose_body_breaks_off_is_still_one(provider, replies, connect):
    provider.script = [replies.raw(b"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\n{")]
    error = await outcome(ask(connect()))
    assert (type(error), error.status) == (UpstreamRefused, 401)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [ask, stream])
async def test_the_key_never_goes_where_a_redirect_leads(provider, replies, connect, status, call):
    async with type(provider)().running() as elsewhere:
        elsewhere.script = [replies.whole(SUCCESS)]
        location = f"Location: {elsewhere.url}/api/chat-with-ai"
        provider.script = [replies.whole(status=f"{status} Elsewhere", headers=[location])]
        started = call(connect(retries=True))
        error = (await collect(started))[0] if call is stream else await outcome(started)
        assert type(error) is UpstreamUnavailable
        assert elsewhere.connections == 0


async def test_a_whole_answer_that_breaks_off(provider, replies, connect):
    provider.script = [replies.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")]
    error = await outcome(ask(connect(retries=True)))
    assert (type(error), error.sent) == (UpstreamUnavailable, True)
    assert len(provider.seen) == 1


async def test_a_whole_answer_that_is_too_large(provider, replies, connect, monkeypatch):
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 1000)
    provider.script = [replies.whole(b" " * 1000 + SUCCESS)]
    assert isinstance(await outcome(ask(connect())), UpstreamMalformed)


# Connections


async def test_streams_that_are_done_leave_their_connection(provider, replies, connect, data):
    body = (data / "stream/basic.sse").read_bytes()
    provider.script = [replies.stream(body)]
    client = connect()
    for _ in range(10):
        assert kinds(await collect(stream(client)))[-1] is DoneEvent
    assert provider.connections == 1


async def test_leaving_after_the_end_was_told_is_a_success(provider, replies, connect, count):
    provider.script = [replies.stream(content("a"), DONE)]
    async with aclosing(stream(connect())) as events:
        async for read in events:
            if DoneEvent() in read:
                break
    assert count("requests", operation="stream_chat", outcome="ok") == 1


async def test_closing_a_stream_reaches_the_provider(provider, replies, connect, count):
    provider.script = [replies.stream(content("a"), then="hold")]
    events = stream(connect())
    await anext(events)
    await events.aclose()
    await provider.until(lambda: not provider.open, 1.0)
    assert count("requests", operation="stream_chat", outcome="cancelled") == 1


@pytest.mark.parametrize("reached", ["head", "body"])
async def test_cancelling_a_wait_reaches_the_provider(provider, replies, connect, count, reached):
    held = replies.stream(content("a"), then="hold")
    provider.script = [replies.silence if reached == "head" else held]
    received = asyncio.Event()

    async def consume():
        async with aclosing(stream(connect())) as events:
            async for _ in events:
                received.set()

    task = asyncio.create_task(consume())
    if reached == "body":
        await asyncio.wait_for(received.wait(), 5)
    await provider.until(lambda: provider.seen)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await provider.until(lambda: not provider.open, 1.0)
    assert count("requests", operation="stream_chat", outcome="cancelled") == 1


async def test_cancelling_a_whole_call_reaches_the_provider(provider, replies, connect, count):
    provider.script = [replies.silence]
    task = asyncio.create_task(ask(connect()))
    await provider.until(lambda: provider.seen)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await provider.until(lambda: not provider.open, 1.0)
    assert count("requests", operation="chat", outcome="cancelled") == 1


async def test_five_hundred_cancelled_streams_leave_the_pool_whole(provider, replies, connect):
    provider.script = [replies.stream(content("a"), then="hold")]
    client = connect(max_in_flight=50, max_in_flight_per_key=50, connect_timeout=20.0)

    async def consume():
        async with aclosing(stream(client)) as events:
            async for _ in events:
                pass

    for _ in range(5):
        tasks = [asyncio.create_task(consume()) for _ in range(100)]
        await provider.until(lambda: provider.open == 51)  # one for the list of models
        random.shuffle(tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await provider.until(lambda: not provider.open)
    provider.script = [replies.whole(SUCCESS)]
    before = provider.connections
    results = await asyncio.gather(*(ask(client) for _ in range(200)))
    assert results == [ChatRecord("hello")] * 200
    assert provider.connections - before <= 51


# Retries


@pytest.fixture
def quick(monkeypatch):
    """Make back-offs short, so that the tests are."""
    backoffs = {"connect": 0.001, "rate_limited": 0.001, "server_error": 0.001}
    monkeypatch.setattr("service.upstream.retries._BACK_OFF", backoffs)


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        ({"status": "503 Down", "body": b'{"message": "down"}'}, "server_error"),
        ({"status": "500 Broken", "body": b'{"message": "broken"}'}, "server_error"),
        ({"status": "400 Busy", "body": VENDOR_BUSY}, "server_error"),
        ({"status": "429 Slow", "body": b"{}", "headers": ["Retry-After: 0"]}, "rate_limited"),
    ],
)
@pytest.mark.parametrize("call", [ask, stream])
@pytest.mark.usefixtures("quick")
async def test_a_call_is_made_again(provider, replies, connect, count, failure, cause, call):
    success = replies.stream(content("a"), DONE) if call is stream else replies.whole(SUCCESS)
    provider.script = [replies.whole(**failure), success]
    client = connect(retries=True)
    if call is stream:
        assert kinds(await collect(stream(client))) == [ContentEvent, DoneEvent]
    else:
        assert await ask(client) == ChatRecord("hello")
    assert len(provider.seen) == 2
    assert provider.seen[0].body == provider.seen[1].body
    assert count("retries", cause=cause) == 1


@pytest.mark.parametrize("call", [ask, stream])
async def test_no_call_is_made_again_where_that_is_switched_off(provider, replies, connect, call):
    provider.script = [replies.whole(b"{}", "503 Down"), replies.whole(SUCCESS)]
    started = call(connect(retries=False))
    error = (await collect(started))[0] if call is stream else await outcome(started)
    assert error.status == 503
    assert len(provider.seen) == 1


@pytest.mark.usefixtures("quick")
async def test_a_connection_that_cannot_be_made_is_tried_three_times(connect, count):
    client = connect(api_url="http://gateway.invalid", retries=True)
    error = await outcome(ask(client))
    assert (type(error), error.sent) == (UpstreamUnavailable, False)
    assert count("retries", cause="connect") == 2
    assert count("requests", operation="chat", outcome="unavailable") == 3


async def test_the_wait_ends_before_the_deadline_or_is_not_begun(provider, replies, connect):
    provider.script = [replies.whole(b"{}", "429 Slow", headers=["Retry-After: 5"])]
    deadline = asyncio.get_running_loop().time() + 4
    started = time.monotonic()
    error = await outcome(ask(connect(retries=True), deadline=deadline))
    assert error.retry_after == 5
    assert time.monotonic() - started < 1
    assert len(provider.seen) == 1


@pytest.mark.usefixtures("quick")
async def test_an_error_event_that_comes_first_may_be_tried_again(provider, replies, connect):
    busy = b"event: error\ndata: " + VENDOR_BUSY + b"\n\n"
    provider.script = [replies.stream(busy), replies.stream(content("a"), DONE)]
    assert kinds(await collect(stream(connect(retries=True)))) == [ContentEvent, DoneEvent]


@pytest.mark.usefixtures("quick")
async def test_nothing_is_tried_again_once_something_was_delivered(provider, replies, connect):
    busy = b"event: error\ndata: " + VENDOR_BUSY + b"\n\n"
    provider.script = [replies.stream(content("a"), busy)]
    assert kinds(await collect(stream(connect(retries=True)))) == [ContentEvent, UpstreamRefused]
    assert len(provider.seen) == 1


@pytest.mark.parametrize("status", ["502 Bad Gateway", "504 Late", "522 Late", "408 Late"])
async def test_what_may_have_been_billed_is_not_made_again(provider, replies, connect, status):
    provider.script = [replies.whole(b'{"message": "x"}', status)]
    assert (await outcome(ask(connect(retries=True)))).status == int(status[:3])
    assert len(provider.seen) == 1


async def test_a_reset_after_sending_is_not_made_again(provider, replies, connect):
    provider.script = [replies.abort]
    assert (await outcome(ask(connect(retries=True)))).sent
    assert len(provider.seen) == 1


# The list of models


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"body": b"<html>", "media_type": "text/html"}, UpstreamUnavailable),
        ({"body": b"{}"}, UpstreamMalformed),
        ({"body": b"{}", "status": "500 Broken"}, UpstreamRefused),
        ({"status": "302 Found", "headers": ["Location: http://example.org"]}, UpstreamUnavailable),
        ({"body": b'{"models": [' + b" " * (9 << 20) + b"]}"}, UpstreamMalformed),
    ],
)
async def test_there_is_no_list(provider, replies, connect, reply, error):
    provider.script = [replies.whole(**reply)]
    assert type(await outcome(connect().list_models())) is error


async def test_a_list_that_drips_is_given_up(provider, replies, connect, monkeypatch):
    monkeypatch.setattr(client_module, "MODELS_TIMEOUT", 0.2)

    async def pause():
        await asyncio.sleep(0.05)

    provider.script = [replies.stream(*[b" "] * 100, media_type="application/json", pause=pause)]
    assert type(await outcome(connect().list_models())) is UpstreamTimeout
    await provider.until(lambda: not provider.open, 1.0)


# What is left behind


async def test_logs_tell_the_call_and_no_secret(provider, replies, connect, caplog):
    caplog.set_level(logging.DEBUG)
    provider.script = [
        replies.whole(SUCCESS),
        replies.whole(b'{"message": "canary-answer"}', "400 Bad"),
        replies.abort,
    ]
    client = connect()
    structlog.reset_defaults()
    with capture_logs() as lines:
        await ask(client)
        await outcome(ask(client))
        await outcome(ask(client))
    assert [(line["operation"], line["outcome"], line["status"]) for line in lines] == [
        ("chat", "ok", 200),
        ("chat", "refused_400", 400),
        ("chat", "unavailable", None),
    ]
    assert all(line["log_level"] == "debug" and line["seconds"] >= 0 for line in lines)
    assert "canary" not in str(lines) + caplog.text


@pytest.mark.usefixtures("quick")
async def test_a_retry_is_logged(provider, replies, connect):
    provider.script = [replies.whole(b"{}", "503 Down"), replies.whole(SUCCESS)]
    client = connect(retries=True)
    with capture_logs() as lines:
        await ask(client)
    [line] = [line for line in lines if line["event"] == "upstream_retry"]
    assert (line["cause"], line["log_level"]) == ("server_error", "info")


async def test_a_bug_of_ours_is_counted_as_one(provider, replies, connect, count, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(client_module, "record_of", broken)
    provider.script = [replies.whole(SUCCESS)]
    assert isinstance(await outcome(ask(connect())), ZeroDivisionError)
    assert count("requests", operation="chat", outcome="failed") == 1
