from __future__ import annotations

import json

import pytest

from service.simulator.chat_request import read_chat
from service.simulator.speech import Verbatim, speak
from service.simulator.stream import Event, Stream, compose
from tests.unit.simulator.raw import chat_body


@pytest.mark.parametrize(
    ("event", "frame"),
    [
        (Event("content", {"content": "é\n"}), 'event: content\ndata: {"content": "é\\n"}\n\n'),
        (Event(None, Verbatim("[DONE]")), "data: [DONE]\n\n"),
        (Event("error", Verbatim("two\nlines")), "event: error\ndata: two\ndata: lines\n\n"),
    ],
    ids=["json", "no-name", "lines"],
)
def test_the_frame_of_an_event(event, frame):
    assert event.frame() == frame


def test_a_faultless_stream_is_bracketed_by_empty_contents_and_ends_with_done():
    request = read_chat(chat_body("repeat: one two"))
    speech = speak(request, request.prompt, uuid="u", created_at="t")
    assert [(item.name, item.data) for item in compose(speech).items] == [
        ("content", {"content": ""}),
        ("content", {"content": "one"}),
        ("content", {"content": " two"}),
        ("content", {"content": ""}),
        ("result", speech.payload),
        ("done", {"message": "Stream completed"}),
    ]


def test_a_lone_surrogate_is_escaped_and_not_broken_utf8():
    stream = Stream([Event("content", {"content": "a\ud83d"})])
    (piece,) = stream.render()
    data = piece.decode().split("data: ")[1]
    assert json.loads(data) == {"content": "a\ud83d"}


def test_line_ends_can_be_changed():
    stream = Stream([Event("a", 1), Verbatim(": ping\n\n")], newline="\r\n")
    assert stream.render() == [b"event: a\r\ndata: 1\r\n\r\n", b": ping\r\n\r\n"]
