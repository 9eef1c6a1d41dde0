from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.upstream.sse import EventTooLarge, SseDecoder, SseEvent

STREAMS = sorted((Path(__file__).parents[2] / "data" / "upstream" / "stream").glob("*.sse"))
MEGABYTE = 1 << 20


def decode(chunks, max_event_bytes=MEGABYTE):
    decoder = SseDecoder(max_event_bytes)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.close()


def split(body, cuts):
    borders = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[a:b] for a, b in pairwise(borders)]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        pytest.param(b"data: a\n\n", [("", "a")], id="LF"),
        pytest.param(b"data: a\r\n\r\n", [("", "a")], id="CRLF"),
        pytest.param(b"data: a\r\r", [("", "a")], id="CR"),
        pytest.param(b"data: a\r\ndata: b\r\n\r\n", [("", "a\nb")], id="CRLF between lines"),
        pytest.param(b"data: a\r\n\ndata: b\n\r\n", [("", "a"), ("", "b")], id="mixed"),
        pytest.param(b"event: x\ndata: a\n\n", [("x", "a")], id="name"),
        pytest.param(b"event: x\nevent: y\ndata: a\n\n", [("y", "a")], id="last name counts"),
        pytest.param(b"event: x\n\ndata: a\n\n", [("", "a")], id="name without data is forgotten"),
        pytest.param(b"event: x\ndata: a\n\ndata: b\n\n", [("x", "a"), ("", "b")], id="name once"),
        pytest.param(b"data:a\n\n", [("", "a")], id="no space"),
        pytest.param(b"data:  a\n\n", [("", " a")], id="one space only"),
        pytest.param(b"data: a: b\n\n", [("", "a: b")], id="colon in data"),
        pytest.param(b"data: a\ndata: b\n\n", [("", "a\nb")], id="lines are joined"),
        pytest.param(b"data\ndata\n\n", [("", "\n")], id="field without a colon"),
        pytest.param(b"data:\n\n", [("", "")], id="empty data"),
        pytest.param(b": ping\n\n:\n\n", [], id="comments"),
        pytest.param(b"id: 1\nretry: 5\nother: x\ndata: a\n\n", [("", "a")], id="other fields"),
        pytest.param(b" data: a\nDATA: b\n\n", [], id="fields are exact"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [("", "a")], id="BOM"),
        pytest.param(
            b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("", "a")], id="BOM only at the start"
        ),
        pytest.param(b"data: a", [("", "a")], id="end within a line"),
        pytest.param(b"data: a\n", [("", "a")], id="end without a blank line"),
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"data: \xff\n\n", [("", "\udcff")], id="not UTF-8"),
        pytest.param(
            "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(),
            [("", "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg")],
            id="other line separators are text",
        ),
    ],
)
def test_the_standard(body, events):
    expected = [SseEvent(*event) for event in events]
    assert decode([body]) == expected
    assert decode([body[i : i + 1] for i in range(len(body))]) == expected


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(min_value=0, max_value=4000), max_size=30))
def test_no_cut_shows_in_the_events(path, cuts):
    body = path.read_bytes()
    assert decode(split(body, cuts)) == decode([body])


@settings(max_examples=300, deadline=None)
@given(
    body=st.lists(
        st.sampled_from(
            [b"\r", b"\n", b":", b" ", b"data", b"event", b"\xef\xbb\xbf", b"x", b"\xff"]
        ),
        max_size=40,
    ).map(b"".join),
    cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=8),
    limit=st.integers(min_value=1, max_value=60),
)
@example(body=b"data: 123456\ndata: 1\n\n", cuts=[14], limit=12)
def test_any_bytes_any_cut_any_limit(body, cuts, limit):
    def outcome(chunks):
        decoder, events = SseDecoder(limit), []
        try:
            for chunk in chunks:
                events += decoder.feed(chunk)
            events += decoder.close()
        except EventTooLarge as error:
            events += [*error.before, "too large"]
        return events

    assert outcome(split(body, cuts)) == outcome([body])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"data: " + b"x" * 2000, id="a line without an end"),
        pytest.param(b"data: " + b"x" * 2000 + b"\n\n", id="a line"),
        pytest.param(b"data: xxxxxxxx\n" * 200, id="lines of one event"),
        pytest.param(b"data\n" * 500, id="empty lines of one event"),
        pytest.param(b": " + b"x" * 2000 + b"\n\n", id="a comment"),
        pytest.param(b"event: " + b"x" * 2000 + b"\n\n", id="a name"),
    ],
)
@pytest.mark.parametrize("size", [1, 64, 1 << 20])
def test_an_event_over_the_limit_is_refused(body, size):
    with pytest.raises(EventTooLarge):
        decode([body[i : i + size] for i in range(0, len(body), size)], max_event_bytes=1000)


def test_an_event_at_the_limit_passes():
    assert decode([b"data: " + b"x" * 994 + b"\n\n"], max_event_bytes=1000)


def test_many_events_may_hold_more_than_the_limit_together():
    assert len(decode([b"data: 1234567890\n\n" * 1000], max_event_bytes=16)) == 1000


def test_events_before_one_that_is_too_large_are_told():
    with pytest.raises(EventTooLarge) as error:
        SseDecoder(20).feed(b"data: a\n\ndata: " + b"x" * 50)
    assert error.value.before == [SseEvent("", "a")]


def test_a_long_line_in_single_bytes_is_read_at_all():
    """A decoder that looked at a line anew with each byte would run into the time-out."""
    size = 1_500_000
    decoder = SseDecoder(2 * size)
    for _ in range(size):
        decoder.feed(b"x")
    decoder.feed(b"\ndata: y\n")

    assert decoder.close() == [SseEvent("", "y")]
