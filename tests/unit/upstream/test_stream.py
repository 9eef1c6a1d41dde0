from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import aclosing

import orjson
import pytest

from service.upstream import client as client_module
from service.upstream import events as events_module
from service.upstream import stream as stream_module
from service.upstream.errors import (
    UpstreamMalformed,
    UpstreamRefused,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from service.upstream.payloads import (
    ChatPayload,
    ChatRecord,
    ContentEvent,
    DoneEvent,
    ResultEvent,
    SkippedEvent,
)
from tests.unit.upstream.calls import (
    DONE,
    SUCCESS,
    VENDOR_BUSY,
    ask,
    collect,
    content,
    kinds,
    stream,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", ["basic", "utf8", "crlf", "keepalive_and_odd_lines", "data_only"])
async def test_streams_survive_any_cut_on_the_wire(provider, replies, connect, data, name, size):
    body = (data / f"stream/{name}.sse").read_bytes()
    provider.script = [
        replies.stream(body),
        replies.stream(*(body[i : i + size] for i in range(0, len(body), size))),
    ]
    client = connect()
    assert await collect(stream(client)) == await collect(stream(client))


@pytest.mark.parametrize(
    ("reply", "events"),
    [
        pytest.param(
            {"media_type": "application/json", "chunks": [SUCCESS]},
            [ResultEvent(ChatRecord("hello")), DoneEvent()],
            id="a whole record",
        ),
        pytest.param(
            {"media_type": "application/json", "chunks": [content("a"), DONE]},
            [ContentEvent("a"), DoneEvent()],
            id="SSE called JSON",
        ),
        pytest.param(
            {"media_type": "text/html", "chunks": [content("a"), DONE]},
            [ContentEvent("a"), DoneEvent()],
            id="SSE called a page",
        ),
        pytest.param(
            {"media_type": "text/plain", "chunks": [b"ev", b"ent: content\ndata: a\n\n"]},
            [ContentEvent("a")],
            id="SSE called text, cut in its first word",
        ),
        pytest.param(
            {"media_type": "text/plain", "chunks": [b"Hello"]},
            [ContentEvent("Hello", sliced=True), DoneEvent()],
            id="raw text",
        ),
        pytest.param(
            {"chunks": [b"Hello\n\nworld"]},
            [ContentEvent("Hello\n\nworld", sliced=True), DoneEvent()],
            id="raw text called SSE",
        ),
        pytest.param(
            {"chunks": [b"dat"]},
            [ContentEvent("dat", sliced=True), DoneEvent()],
            id="short raw text",
        ),
        pytest.param({"chunks": [b"\n\n"]}, [], id="blank lines"),
        pytest.param({"chunks": []}, [], id="nothing"),
        pytest.param({"chunks": [b": ping\n\n"]}, [], id="comments"),
        pytest.param({"chunks": [content("a")]}, [ContentEvent("a")], id="no end"),
        pytest.param(
            {"chunks": [content(""), content("a"), b'event: content\ndata: {"cont\n\n', DONE]},
            [ContentEvent(""), ContentEvent("a"), SkippedEvent(), DoneEvent()],
            id="a broken event",
        ),
        pytest.param(
            {"chunks": [content("a"), DONE + content("b"), b"data: [DONE]\n\n"]},
            [ContentEvent("a"), DoneEvent()],
            id="nothing comes after done",
        ),
    ],
)
async def test_framings(provider, replies, connect, count, reply, events):
    provider.script = [replies.stream(*reply.pop("chunks"), **reply)]
    assert await collect(stream(connect())) == events
    complete = any(isinstance(event, ResultEvent | DoneEvent) for event in events)
    ended = "ok" if complete else "incomplete"
    assert count("requests", operation="stream_chat", outcome=ended) == 1
    assert count("skipped_events") == kinds(events).count(SkippedEvent)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(
            {"media_type": "application/json", "chunks": [VENDOR_BUSY]},
            [UpstreamRefused],
            id="a JSON error",
        ),
        pytest.param(
            {"media_type": "application/json", "chunks": []}, [UpstreamMalformed], id="empty JSON"
        ),
        pytest.param(
            {"media_type": "text/html", "chunks": [b"<html>"]}, [UpstreamUnavailable], id="a page"
        ),
        pytest.param(
            {"chunks": [b'event: error\ndata: {"error": "no"}\n\n']},
            [UpstreamRefused],
            id="an error first",
        ),
        pytest.param(
            {"chunks": [content("a") + b'event: error\ndata: {"error": "no"}\n\n' + DONE]},
            [ContentEvent, UpstreamRefused],
            id="an error midway",
        ),
        pytest.param(
            {"chunks": [b"text", b"\xff"], "media_type": "text/plain"},
            [ContentEvent, UpstreamMalformed],
            id="raw text that is not UTF-8",
        ),
        pytest.param(
            {"chunks": [content("a"), b"event: con"], "then": "abort"},
            [ContentEvent, UpstreamTruncated],
            id="a reset midway",
        ),
        pytest.param(
            {"chunks": [content("")], "then": "abort"},
            [ContentEvent, UpstreamTruncated],
            id="a reset after an empty piece",
        ),
        pytest.param(
            {"chunks": [content("a")], "then": "cut"},
            [ContentEvent, UpstreamTruncated],
            id="a body without its end",
        ),
        pytest.param(
            {"chunks": [b"raw text"], "then": "cut", "media_type": "text/plain"},
            [ContentEvent, UpstreamTruncated],
            id="raw text without its end",
        ),
        pytest.param(
            {"chunks": [b": ping\n\n"], "then": "abort"},
            [UpstreamUnavailable],
            id="a reset before the answer",
        ),
        pytest.param(
            {"chunks": [b"data: {broken\n\n"], "then": "abort"},
            [SkippedEvent, UpstreamUnavailable],
            id="a reset after a broken event",
        ),
        pytest.param(
            {"chunks": [SUCCESS[:9]], "then": "cut", "media_type": "application/json"},
            [UpstreamUnavailable],
            id="half a record",
        ),
        pytest.param(
            {"chunks": [content("a")], "then": "hold"},
            [ContentEvent, UpstreamStalled],
            id="a stall midway",
        ),
        pytest.param(
            {"chunks": [b": ping\n\n"], "then": "hold"},
            [UpstreamTimeout],
            id="a stall before the answer",
        ),
        pytest.param({"chunks": [], "then": "hold"}, [UpstreamTimeout], id="a head and no more"),
    ],
)
async def test_endings(provider, replies, connect, count, reply, expected):
    provider.script = [replies.stream(*reply.pop("chunks"), **reply)]
    events = await collect(stream(connect(idle_timeout=0.1)))
    assert kinds(events) == expected
    error = events[-1]
    name = type(error).__name__.removeprefix("Upstream").lower()
    ended = f"refused_{error.status}" if name == "refused" else name
    assert count("requests", operation="stream_chat", outcome=ended) == 1
    held = reply.get("then") == "hold"
    await provider.until(lambda: not (held and provider.open), 1.0)


async def test_no_head_in_time_is_a_timeout(provider, replies, connect):
    provider.script = [replies.silence]
    [error] = await collect(stream(connect(first_byte_timeout=0.05, retries=True)))
    assert type(error) is UpstreamTimeout
    assert len(provider.seen) == 1


async def test_a_whole_answer_may_take_longer_than_a_first_byte(provider, replies, connect):
    async def late(reader, writer):
        await asyncio.sleep(0.2)
        return await replies.whole(SUCCESS)(reader, writer)

    provider.script = [late]
    assert await ask(connect(first_byte_timeout=0.05)) == ChatRecord("hello")


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([content("a") + b"data: " + b"x" * 5000], id="an event"),
        pytest.param([content("a"), *[b": " + b"x" * 500 + b"\n"] * 50], id="all events"),
        pytest.param([b"x" * 30_000], id="raw text"),
    ],
)
async def test_bounds_of_a_stream(provider, replies, connect, monkeypatch, chunks):
    monkeypatch.setattr(stream_module, "MAX_EVENT_BYTES", 2000)
    monkeypatch.setattr(stream_module, "MAX_BODY_BYTES", 20_000)
    provider.script = [replies.stream(*chunks, then="hold")]
    events = kinds(await collect(stream(connect(idle_timeout=5.0))))
    assert (events[0], events[-1]) == (ContentEvent, UpstreamMalformed)
    await provider.until(lambda: not provider.open, 1.0)


async def test_an_event_may_echo_the_prompt_beyond_the_bound(
    provider, replies, connect, monkeypatch
):
    monkeypatch.setattr(stream_module, "MAX_EVENT_BYTES", 2000)
    echo = orjson.dumps({"aiRecord": {"result": "a", "prompt": "p" * 5000}})
    provider.script = [replies.stream(b"event: result\ndata: " + echo + b"\n\n", DONE)]
    payload = ChatPayload("m", "p" * 5000)
    assert kinds(await collect(stream(connect(), payload))) == [ResultEvent, DoneEvent]


async def test_a_bare_text_is_not_held_back(provider, replies, connect):
    provider.script = [replies.stream(b"He", then="hold", media_type="text/plain")]
    async with aclosing(stream(connect())) as events:
        assert await anext(events) == [ContentEvent("He", sliced=True)]


async def test_done_is_told_although_the_body_does_not_end(provider, replies, connect, count):
    provider.script = [replies.stream(content("a"), DONE, then="hold")]
    async with asyncio.timeout(5):
        assert await collect(stream(connect())) == [ContentEvent("a"), DoneEvent()]
    assert count("requests", operation="stream_chat", outcome="ok") == 1
    await provider.until(lambda: not provider.open, 1.0)


async def test_what_follows_done_is_not_delivered(provider, replies, connect):
    async def pause():
        await asyncio.sleep(0.01)

    late = replies.stream(content("a"), DONE, content("b"), content("c"), pause=pause)
    provider.script = [late]
    client = connect()
    assert await collect(stream(client)) == [ContentEvent("a"), DoneEvent()]
    assert await collect(stream(client)) == [ContentEvent("a"), DoneEvent()]
    assert provider.connections == 1


async def test_done_is_told_although_the_body_breaks_after_it(provider, replies, connect):
    provider.script = [replies.stream(content("a"), DONE, then="abort")]
    assert await collect(stream(connect())) == [ContentEvent("a"), DoneEvent()]


async def test_what_came_before_a_bug_is_delivered(provider, replies, connect, monkeypatch):
    monkeypatch.setattr(events_module, "ContentEvent", fails_at("b", ContentEvent))
    provider.script = [replies.stream(content("a") + content("b") + content("c") + DONE)]
    assert kinds(await collect(stream(connect()))) == [ContentEvent, ZeroDivisionError]


async def test_an_open_stream_does_not_keep_the_request_that_it_sent(provider, replies, connect):
    provider.script = [replies.stream(content("a"), DONE)]
    tracemalloc.start()
    try:
        async with aclosing(stream(connect(), ChatPayload("gpt-4o", "x" * 200_000))) as reads:
            await anext(reads)
            of_client = tracemalloc.Filter(inclusive=True, filename_pattern=client_module.__file__)
            kept = tracemalloc.take_snapshot().filter_traces([of_client]).traces
    finally:
        tracemalloc.stop()
    assert sum(trace.size for trace in kept) < 100_000


def fails_at(text, make):
    def made(given):
        if given == text:
            raise ZeroDivisionError
        return make(given)

    return made
