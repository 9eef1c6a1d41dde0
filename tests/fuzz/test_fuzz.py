"""The oracles, asked with what hypothesis makes of the words of each grammar.

A few seconds in the suite; `make fuzz` asks for far longer, with `HYPOTHESIS_PROFILE=long`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from tests.fuzz import oracles, seeds

DATA = Path(__file__).parents[1] / "data" / "upstream"


def made_of(*words, most=30):
    """Bytes made of words, and of a few that are not."""
    word = st.sampled_from(words) | st.binary(max_size=4)
    return st.lists(word, max_size=most).map(b"".join)


def changed(originals):
    """Real inputs with a piece replaced by another."""

    @st.composite
    def change(draw):
        original = draw(st.sampled_from(originals))
        start = draw(st.integers(0, len(original)))
        end = draw(st.integers(start, min(len(original), start + 20)))
        return original[:start] + draw(st.binary(max_size=8)) + original[end:]

    return change()


EVENTS = [
    b"event: content\n",
    b"event: result\n",
    b"event: done\n",
    b"event: error\n",
    b'data: {"content":"a"}\n\n',
    b'data: {"content":"\\ud800"}\n\n',
    b'data: {"aiRecord":{"status":"SUCCESS","aiRecordDetail":{"resultObject":["aa"]}}}\n\n',
    b'data: {"error":{"message":"x"}}\n\n',
    b"data: a\n\n",
    b"data: [DONE]\n\n",
    b": c\n",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b"\xe2\x80\xa8",
    b"\xff",
]
KEYS = [json.dumps(name).encode() for name in seeds.FIELDS]
JSON = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'\\"', b"null", b"true", b"1", b"-1e400"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(seeds.FIELDS), inner)
    ),
    max_leaves=12,
)
said = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "content": st.text(max_size=5) | json_values,
    },
    optional={name: st.text(max_size=5) for name in ("name", "tool_call_id", "refusal")},
)
options = {
    "temperature": st.floats(-1, 4),
    "top_p": st.floats(-1, 2),
    "presence_penalty": st.floats(-4, 4),
    "max_tokens": st.integers(-1, 1 << 32),
    "seed": st.integers(-(1 << 64), 1 << 64),
    "stop": st.lists(st.text(max_size=2), max_size=6),
}
one_option = st.one_of(
    *(st.builds(lambda value, name=name: {name: value}, kind) for name, kind in options.items())
)
bodies = st.builds(
    lambda messages, more: {"model": "m", "messages": messages, **more},
    st.lists(said, max_size=3) | st.just([seeds.SAID]),
    one_option,
)
parts = st.builds(chat_pb2.ContentPart, text=st.text(max_size=5)) | st.just(chat_pb2.ContentPart())
turns = st.builds(
    chat_pb2.ChatMessage,
    role=st.integers(0, 7),
    name=st.none() | st.text(max_size=3),
    parts=st.lists(parts, max_size=3),
)
requests = st.builds(
    pb.CreateChatCompletionRequest,
    spec=st.builds(
        chat_pb2.ChatCompletionSpec, model=st.text(max_size=3), messages=st.lists(turns, max_size=4)
    ),
).map(pb.CreateChatCompletionRequest.SerializeToString)


def as_json(values):
    return values.map(json.dumps).map(str.encode)


INPUTS = {
    "sse": made_of(*EVENTS, b"data:", b"event:", b" ") | changed(seeds.STREAMS),
    "stream": made_of(*EVENTS) | changed(seeds.STREAMS),
    "record": as_json(json_values) | changed(seeds.RECORDS),
    "body": as_json(bodies)
    | as_json(bodies)  # twice as often as the others
    | as_json(json_values)
    | changed(seeds.BODIES)
    | made_of(*KEYS, *JSON),
    "values": st.binary(max_size=60),
    "message": requests | changed(seeds.MESSAGES) | st.binary(max_size=60),
    "prompt": made_of(
        b"~", b"[~]", b"[\\~]", b"\0", b"\x01", b"\n\n[~] user\n", b"]", b"\\", b"\xff"
    ),
}


@pytest.mark.parametrize("name", oracles.ORACLES)
def test_it_holds_for_real_inputs(name):
    for data in seeds.OF[name]:
        oracles.ORACLES[name](data)


@pytest.mark.parametrize("name", oracles.ORACLES)
@pytest.mark.timeout(0)
@given(data=st.data())
def test_it_holds_for_made_up_ones(name, data):
    oracles.ORACLES[name](data.draw(INPUTS[name]))
