from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.rpc.field_count import has_more_fields

REQUEST = pb.CreateChatCompletionRequest
MESSAGE = chat_pb2.ChatMessage(
    role=chat_pb2.CHAT_ROLE_USER, parts=[chat_pb2.ContentPart(text="\x12\x00" * 50)]
)
MESSAGE_FIELDS = 4  # itself, its role, its part, the text of that


def chat(count, **spec):
    return REQUEST(spec=chat_pb2.ChatCompletionSpec(model="m", messages=[MESSAGE] * count, **spec))


def fields(body, kind=REQUEST):
    """Count by asking for every limit."""
    limit = 0
    while has_more_fields(body, kind.DESCRIPTOR, limit):
        limit += 1
    return limit


SAMPLING = chat_pb2.SamplingConfig(temperature=1, seed=5, stop_sequences=["a", "b"])


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(REQUEST(), 0, id="nothing"),
        pytest.param(chat(0), 2, id="spec and model"),
        pytest.param(chat(7), 2 + 7 * MESSAGE_FIELDS, id="messages"),
        pytest.param(chat(0, sampling=SAMPLING), 2 + 5, id="numbers and repeated texts"),
        pytest.param(pb.ListModelsRequest(page_size=1, page_token="x"), 2, id="no nested messages"),
    ],
)
def test_fields_are_counted_at_every_depth(request_, expected):
    assert fields(request_.SerializeToString(), type(request_)) == expected


def test_unknown_fields_count_and_are_not_looked_into():
    unknown = b"\xfa\x01\x06" + b"\x12\x00" * 3  # field 31
    assert fields(unknown + b"\xf5\x01abcd" + b"\xf1\x01abcdefgh") == 3


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x0a", id="no length"),
        pytest.param(b"\x0a\x05ab", id="longer than the message"),
        pytest.param(b"\x0a\x02\x12\x05", id="longer than its parent"),
        pytest.param(b"\x09abc", id="a number that is cut off"),
        pytest.param(b"\x08" + b"\xff" * 11, id="a number without an end"),
        pytest.param(b"\x0b\x0c", id="a group"),
        pytest.param(b"\x0e", id="a wire type that does not exist"),
    ],
)
def test_what_is_not_well_formed_is_told(body):
    with pytest.raises(DecodeError):
        has_more_fields(body, REQUEST.DESCRIPTOR, 100)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=40)
    | st.lists(st.sampled_from([b"\x0a", b"\x12", b"\x02", b"\x00"])).map(b"".join)
)
def test_whatever_the_parser_takes_can_be_counted(body):
    try:
        has_more_fields(body, REQUEST.DESCRIPTOR, 10)
    except DecodeError:
        groups = any(byte & 7 in (3, 4) for byte in body)
        if not groups:
            with pytest.raises(DecodeError):
                REQUEST.FromString(body)
