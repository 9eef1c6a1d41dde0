from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onemin.inference.v1 import inference_service_pb2 as pb
from service.errors import ServiceError
from service.openai_http.decode import ChatRequest, decode_chat_request
from service.openai_http.schema import ChatBody

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def decode(**fields):
    return decode_chat_request(json.dumps({**BODY, **fields}).encode())


def test_a_minimal_request():
    request = decode()
    assert request.spec.model == request.model == "gpt-4o"
    assert request.spec.messages[0].parts[0].text == "Hello"
    assert not request.spec.HasField("sampling")
    assert not request.spec.HasField("web_search")
    assert isinstance(request.message, pb.CreateChatCompletionRequest)
    assert (request.include_usage, request.ignored) == (False, ())


def test_null_means_not_given():
    nulls = dict.fromkeys(set(ChatBody.__struct_fields__) - set(BODY))
    assert decode(**nulls) == decode()


SAMPLING = {
    "temperature 0 is given": ({"temperature": 0}, {"temperature": 0.0}),
    "all": (
        {"top_p": 0.5, "presence_penalty": 1, "frequency_penalty": -1, "seed": -7},
        {"top_p": 0.5, "presence_penalty": 1.0, "frequency_penalty": -1.0, "seed": -7},
    ),
    "max_tokens": ({"max_tokens": 5}, {"max_completion_tokens": 5}),
    "the smaller of both": (
        {"max_tokens": 5, "max_completion_tokens": 4},
        {"max_completion_tokens": 4},
    ),
    "one stop": ({"stop": "END"}, {"stop_sequences": ["END"]}),
    "several stops": ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
}


@pytest.mark.parametrize(("fields", "expected"), SAMPLING.values(), ids=SAMPLING)
def test_sampling_reaches_the_service(fields, expected):
    sampling = decode(**fields).spec.sampling
    found = {descriptor.name: value for descriptor, value in sampling.ListFields()}
    assert found == expected


def test_no_stops_are_no_sampling():
    assert not decode(stop=[]).spec.HasField("sampling")


SEARCHES = {
    "options": ({"web_search_options": {}}, "gpt-4o", True),
    "suffix": ({"model": "gpt-4o:online"}, "gpt-4o", True),
    "neither": ({}, "gpt-4o", False),
    "suffix within": ({"model": "a:online:b"}, "a:online:b", False),
}


@pytest.mark.parametrize(("fields", "model", "search"), SEARCHES.values(), ids=SEARCHES)
def test_web_search_is_switched_on_by_options_or_by_the_model_s_suffix(fields, model, search):
    request = decode(**fields)
    assert request.spec.model == model
    assert request.spec.HasField("web_search") is search


MODELS = {
    "as asked": ("gpt-4o:online", "gpt-4o", "gpt-4o:online"),
    "replaced": ("gpt-4o:online", "gpt-5", "gpt-5"),
}


@pytest.mark.parametrize(("asked", "answered", "shown"), MODELS.values(), ids=MODELS)
def test_an_answer_is_shown_under_the_id_that_was_asked_for(asked, answered, shown):
    assert decode(model=asked).shown_model(answered) == shown


@pytest.mark.parametrize("model", [None, "", ":online"])
def test_a_missing_model_is_told_without_a_field(model):
    with pytest.raises(ServiceError, match=r"^you must provide a model parameter$") as caught:
        decode(model=model)
    assert (caught.value.param, caught.value.code) == (None, None)


def test_a_long_model_id_is_refused():
    assert decode(model="m" * 256 + ":online").spec.web_search is not None
    with pytest.raises(ServiceError) as caught:
        decode(model="m" * 257)
    assert (caught.value.param, caught.value.code) == ("model", "string_above_max_length")


@pytest.mark.parametrize(
    ("options", "wanted"), [({}, False), ({"include_usage": True}, True), (None, False)]
)
def test_usage_in_a_stream_is_sent_when_asked_for(options, wanted):
    request = decode(stream=True, stream_options=options)
    assert isinstance(request.message, pb.StreamChatCompletionRequest)
    assert request.include_usage is wanted


scalars = st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | st.text()
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "function", "system"])},
        optional={
            "content": json_values | st.text(),
            "name": json_values,
            "tool_call_id": json_values,
            "tool_calls": json_values,
            "function_call": json_values,
        },
    ),
    max_size=3,
)
optional_fields = st.dictionaries(
    st.sampled_from(sorted(set(ChatBody.__struct_fields__) - set(BODY))), json_values, max_size=3
)
bodies = st.builds(
    lambda model, messages, fields: {"model": model, "messages": messages, **fields},
    json_values | st.just("m"),
    json_values | messages,
    optional_fields,
)


def check_call_or_refusal(data):
    """Decode to a call that can be sent, or to a 4xx with a message."""
    outcome = outcome_of(data)
    if isinstance(outcome, ServiceError):
        assert 400 <= outcome.row.http_status < 500
        assert outcome.message
    else:
        assert isinstance(outcome, ChatRequest)
        assert outcome.spec.SerializeToString()


def outcome_of(data):
    try:
        return decode_chat_request(data)
    except ServiceError as error:
        return error


@settings(max_examples=300, deadline=None)
@given(bodies | json_values)
def test_any_json_value_is_a_call_or_a_4xx(value):
    check_call_or_refusal(json.dumps(value).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary())
def test_any_bytes_are_a_call_or_a_4xx(data):
    check_call_or_refusal(data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_valid_request_with_one_byte_changed_is_a_call_or_a_4xx(data):
    body = bytearray(json.dumps({**BODY, "stop": ["a"], "temperature": 1.5}).encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check_call_or_refusal(bytes(body))
