from __future__ import annotations

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.errors import ServiceError
from service.openai_http.sse import DONE, KEEP_ALIVE, ChunkWriter, error_frame

Event = pb.StreamChatCompletionResponse


def writer(*, include_usage=False, model="gpt-4o"):
    started = Event.Started(id="chatcmpl-1", model="x", create_time=Timestamp(seconds=7))
    return ChunkWriter(started, model, include_usage=include_usage)


def data(frames):
    """The events as JSON; every event is one `data:` line and an empty line."""
    *events, rest = frames.decode().split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") and len(event.splitlines()) == 1 for event in events)
    return [json.loads(event[6:]) for event in events if event != "data: [DONE]"]


def chunk(choices, **more):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "gpt-4o",
        "system_fingerprint": None,
        "choices": choices,
        **more,
    }


def choice(delta, finish_reason=None):
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def test_the_role_is_said_once_and_first():
    role = {"role": "assistant", "content": "", "refusal": None}
    assert data(writer().opening()) == [chunk([choice(role)])]


def test_a_delta_holds_its_text_and_nothing_else():
    assert data(writer().delta('a"\n')) == [chunk([choice({"content": 'a"\n'})])]


def completed():
    usage = chat_pb2.TokenUsage(prompt_tokens=1, completion_tokens=2, credits=1.5)
    return Event.Completed(finish_reason=chat_pb2.FINISH_REASON_LENGTH, usage=usage)


def test_the_end_without_usage():
    ending = writer().ending(completed())
    assert ending.endswith(DONE)
    assert data(ending) == [chunk([choice({}, "length")])]


def test_the_end_with_usage():
    chunks = writer(include_usage=True)
    ending = chunks.ending(completed())
    assert ending.endswith(DONE)
    finish, usage = data(ending)
    assert finish == chunk([choice({}, "length")], usage=None)
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 3
    assert usage["usage"]["credits"] == 1.5
    [opening] = data(chunks.opening())
    [delta] = data(chunks.delta("x"))
    assert opening["usage"] is delta["usage"] is None


@given(st.text())
def test_any_text_survives_line_readers(text):
    [found] = data(writer().delta(text))
    assert found["choices"][0]["delta"]["content"] == text


@pytest.mark.parametrize("line_end", ["\u0085", "\u2028", "\u2029", "\r", "\x0b", "\x1e"])
def test_nothing_that_ends_a_line_somewhere_is_sent_raw(line_end):
    for frame in (
        writer().delta(f"a{line_end}b"),
        writer(model=f"m{line_end}").opening(),
        error_frame(ServiceError.invalid_field("x", f"a{line_end}b")),
    ):
        assert line_end not in frame.decode()
        assert data(frame)


def test_an_error_has_all_four_keys():
    assert data(error_frame(ServiceError.internal())) == [
        {
            "error": {
                "message": "The server had an error while processing your request. "
                "Sorry about that!",
                "type": "server_error",
                "param": None,
                "code": None,
            }
        }
    ]


def test_a_comment_is_a_whole_event():
    assert KEEP_ALIVE.startswith(b":")
    assert KEEP_ALIVE.endswith(b"\n\n")
