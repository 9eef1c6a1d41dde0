from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.upstream.errors import UpstreamError, UpstreamMalformed, UpstreamRefused
from service.upstream.events import (
    BLANK_LIMIT,
    RawTextDecoder,
    SseChatDecoder,
    chat_event,
    is_sse,
)
from service.upstream.payloads import (
    ChatRecord,
    ContentEvent,
    DoneEvent,
    ResultEvent,
    SkippedEvent,
)
from service.upstream.sse import SseEvent


def read(*chunks, decoder=None):
    decoder = decoder or SseChatDecoder(1 << 20)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + list(decoder.close())


def until_failure(events):
    """Return the events and, as the last of the list, the error that ended them."""
    seen = []
    try:
        for event in events:
            seen.append(event)  # noqa: PERF402  # the loop may break with an error
    except UpstreamError as error:
        seen.append(error)
    return seen


def slice_(text):
    return ContentEvent(text, sliced=True)


def raw(*chunks):
    return read(*chunks, decoder=RawTextDecoder())


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("basic", ["Seven", " is a", " prime", " number."]),
        ("crlf", ["Seven", " is a", " prime", " number."]),
        ("no_done", ["Seven", " is a", " prime", " number."]),
        ("result_message_form", ["Seven", " is a", " prime", " number."]),
        ("data_only", ["Seven", " is a", " prime", " number."]),
        ("bracketed_empty", ["", "Seven", " is a", " prime", " number.", ""]),
        ("legit_double_middle", ["ha", "ha", "!"]),
        ("legit_double_end", ["ha", "ha"]),
        ("multi_data_lines", ["Seven is a prime number."]),
        ("no_trailing_blank", ["Seven", " is a prime number."]),
        ("keepalive_and_odd_lines", ["Seven", " is a prime number."]),
        ("utf8", ["Grüße", ": 日本", "語 — ", "🍎", " ok"]),
        ("result_only", []),
        ("truncated", ["Seven", " is a"]),
    ],
)
def test_recorded_streams(data, name, texts):
    events = read((data / "stream" / f"{name}.sse").read_bytes())
    assert [event.text for event in events if isinstance(event, ContentEvent)] == texts
    kinds = [type(event) for event in events]
    has_result = name not in ("data_only", "no_trailing_blank", "truncated")
    assert (ResultEvent in kinds) is has_result
    assert (DoneEvent in kinds) is (name not in ("no_done", "no_trailing_blank", "truncated"))
    skipped = name in ("keepalive_and_odd_lines", "truncated")
    assert kinds.count(SkippedEvent) == (1 if skipped else 0)


@pytest.mark.parametrize(
    ("name", "before", "code", "message"),
    [
        ("error_first", 0, "", "Model no-such-model is not supported"),
        ("error_message_form", 0, "UNKNOWN_ERROR", "Something went wrong"),
        ("error_plain_text", 0, "", "upstream provider failed"),
        ("error_midway", 2, "", "The openai service is a bit busy right now"),
        (
            "error_object",
            0,
            "INSUFFICIENT_CREDITS",
            "The feature requires 105 credits, but the Fixture team only has 35 credits",
        ),
    ],
)
def test_recorded_errors(data, name, before, code, message):
    body = (data / "stream" / f"{name}.sse").read_bytes()
    *events, error = until_failure(SseChatDecoder(1 << 20).feed(body))
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.code, error.message) == (200, code, message)
    assert len(events) == before


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (("content", '{"content": "a"}'), ContentEvent("a")),
        (("content", '{"content": ""}'), ContentEvent("")),
        (("content", '{"content": null}'), ContentEvent("")),
        (("", '{"content": "a"}'), ContentEvent("a")),
        (("message", '{"content": "a"}'), ContentEvent("a")),
        (("content", '{"delta": "a"}'), ContentEvent("a")),
        (("content", '{"text": "a"}'), ContentEvent("a")),
        (("content", '{"result": "a"}'), ContentEvent("a")),
        (("content", '{"response": "a"}'), ContentEvent("a")),
        (("content", '{"choices": [{"delta": {"content": "a"}}]}'), ContentEvent("a")),
        (("content", '{"choices": [{"delta": {"role": "assistant"}}]}'), ContentEvent("")),
        (("content", '{"choices": [{"delta": {"content": 5}}]}'), SkippedEvent()),
        (("content", '{"choices": []}'), SkippedEvent()),
        (("content", '{"choices": [{"delta": null}]}'), SkippedEvent()),
        (("content", '"a"'), ContentEvent("a")),
        (("content", " a bare delta "), ContentEvent(" a bare delta ")),
        (("content", "42"), ContentEvent("42")),
        (("content", "true"), ContentEvent("true")),
        (("content", "null"), SkippedEvent()),
        (("content", "[1]"), SkippedEvent()),
        (("content", "{}"), SkippedEvent()),
        (("content", '{"content": 5}'), SkippedEvent()),
        (("content", '{"content": "cut o'), SkippedEvent()),
        (("content", '"cut o'), SkippedEvent()),
        (("content", "[cut o"), SkippedEvent()),
        (("content", '{"content": "\udcff"}'), SkippedEvent()),
        (("content", "bare \udcff"), SkippedEvent()),
        (("content", ""), None),
        (("", "  "), None),
        (("", "[DONE]"), DoneEvent()),
        (("content", " [DONE] "), DoneEvent()),
        (("done", ""), DoneEvent()),
        (("done", '{"message": "Stream completed"}'), DoneEvent()),
        (("result", '{"aiRecord": {"result": "a"}}'), ResultEvent(ChatRecord("a"))),
        (("", '{"aiRecord": {"result": "a"}}'), ResultEvent(ChatRecord("a"))),
        (("result", '{"message": "no record"}'), SkippedEvent()),
        (("result", "cut o"), SkippedEvent()),
        (("ping", "{}"), SkippedEvent()),
        (("", '{"message": "Stream completed"}'), SkippedEvent()),
    ],
)
def test_each_kind_of_event(event, expected):
    assert chat_event(SseEvent(*event)) == expected


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        (("error", '{"error": "e"}'), "", "e"),
        (("error", '{"error": {"code": "C", "message": "m"}}'), "C", "m"),
        (("error", '{"message": "m", "errorCode": "C"}'), "C", "m"),
        (("error", '"e"'), "", "e"),
        (("error", "plain"), "", "plain"),
        (("error", "plain \udcff"), "", "plain ?"),
        (("error", ""), "", ""),
        (("", '{"error": "e"}'), "", "e"),
        (("content", '{"errorCode": "C", "message": "m"}'), "C", "m"),
        (("result", '{"aiRecord": {"status": "FAILED", "errorMessage": "m"}}'), "", "m"),
        (("result", '{"errorCode": "C"}'), "C", ""),
    ],
)
def test_each_kind_of_error(event, code, message):
    with pytest.raises(UpstreamRefused) as refused:
        chat_event(SseEvent(*event))
    assert (refused.value.status, refused.value.code, refused.value.message) == (200, code, message)


def test_an_event_that_is_too_large_is_malformed():
    decoder = SseChatDecoder(100)
    with pytest.raises(UpstreamMalformed):
        list(decoder.feed(b"data: " + b"x" * 200))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"event: content\n", True),
        (b"data:", True),
        (b": ping", True),
        (b"id: 1", True),
        (b"retry: 1", True),
        (b"\n\r\n\ndata: x", True),
        (codecs.BOM_UTF8 + b"data: x", True),
        (b"", None),
        (b"\n\n", None),
        (b"ev", None),
        (b"\ndat", None),
        (codecs.BOM_UTF8[:2], None),
        (codecs.BOM_UTF8 + b"event", None),
        (b"events are fun", False),
        (b"Seven is a\n\nprime", False),
        (b"data\n", False),
        (b"{", False),
        (b"<html>", False),
        (b" data: x", False),
        (b"\n" * (BLANK_LIMIT + 1), True),
    ],
)
def test_the_framing_is_known_by_the_first_line(head, expected):
    assert is_sse(head) is expected


@given(head=st.binary(max_size=40), rest=st.binary(max_size=10))
def test_what_is_known_of_the_framing_stays_so(head, rest):
    known = is_sse(head)
    assert known is None or is_sse(head + rest) is known


def test_raw_text_is_an_answer(data):
    body = (data / "stream" / "raw_text.txt").read_bytes()
    assert raw(body) == [slice_(body.decode()), DoneEvent()]


@settings(max_examples=100, deadline=None)
@given(text=st.text(min_size=1, max_size=40), size=st.integers(min_value=1, max_value=5))
def test_raw_text_survives_any_cut(text, size):
    body = text.encode()
    events = raw(*(body[i : i + size] for i in range(0, len(body), size)))
    assert events.pop() == DoneEvent()
    assert "".join(event.text for event in events) == text.removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("chunks", "before"),
    [
        pytest.param([b"ab\xff"], [slice_("ab")], id="within"),
        pytest.param([b"\xff"], [], id="at once"),
        pytest.param([b"ab", b"\xe2\x82"], [slice_("ab")], id="cut at the end"),
        pytest.param([b"\xe2", b"(", b"x"], [], id="across chunks"),
        pytest.param(
            [b"a", b"\xef\xbb\xbfb\xff"], [slice_("a"), slice_("\ufeffb")], id="behind a late BOM"
        ),
        pytest.param([b"\xef\xbb\xbfb\xff"], [slice_("b")], id="behind a BOM"),
    ],
)
def test_raw_text_that_is_not_utf8_is_malformed_after_what_came_before(chunks, before):
    decoder = RawTextDecoder()

    def run():
        for chunk in chunks:
            yield from decoder.feed(chunk)
        yield from decoder.close()

    *events, error = until_failure(run())
    assert isinstance(error, UpstreamMalformed)
    assert events == before
