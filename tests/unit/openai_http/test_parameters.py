from __future__ import annotations

import json

import pytest

from service.errors import Reason, ServiceError
from service.openai_http.parameters import check_parameters, ignored_parameters
from service.openai_http.parse import parse_chat_body


def body(**fields):
    return parse_chat_body(json.dumps(fields).encode())


LEGAL = [
    {},
    {"temperature": 0},
    {"temperature": 2, "top_p": 1, "presence_penalty": -2, "frequency_penalty": 2},
    {"top_p": 0, "seed": -(2**63)},
    {"seed": 2**63 - 1, "max_tokens": 1, "max_completion_tokens": 2**31 - 1},
    {"n": 1, "logprobs": False, "modalities": ["text"]},
    {"modalities": [], "response_format": {"type": "text"}},
    {"tools": [], "functions": [], "tool_choice": "none", "function_call": "none"},
    {"stop": "x"},
    {"stop": []},
    {"stop": ["a", "b", "c", "d" * 256]},
    {"stream": True, "stream_options": {}},
    {"metadata": {"k" * 64: "v" * 512}},
    {"logit_bias": {"50256": -100, "1": 100}},
    {"safety_identifier": "x" * 64},
    {"web_search_options": {}},
]


@pytest.mark.parametrize("fields", LEGAL, ids=str)
def test_legal_values_pass(fields):
    check_parameters(body(**fields))


ILLEGAL = {
    "temperature high": ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
    "temperature low": ({"temperature": -0.1}, "temperature", "decimal_below_min_value"),
    "top_p": ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
    "presence": ({"presence_penalty": 3}, "presence_penalty", "decimal_above_max_value"),
    "frequency": ({"frequency_penalty": -3}, "frequency_penalty", "decimal_below_min_value"),
    "seed": ({"seed": 2**63}, "seed", "integer_above_max_value"),
    "max_tokens": ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
    "max_completion_tokens": (
        {"max_completion_tokens": 2**31},
        "max_completion_tokens",
        "integer_above_max_value",
    ),
    "n low": ({"n": 0}, "n", "integer_below_min_value"),
    "n high": ({"n": 129}, "n", "integer_above_max_value"),
    "n": ({"n": 2}, "n", "unsupported_value"),
    "top_logprobs high": ({"top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
    "stops": ({"stop": list("abcde")}, "stop", "array_above_max_length"),
    "empty stop": ({"stop": ""}, "stop", "empty_string"),
    "an empty stop": ({"stop": ["a", ""]}, "stop[1]", "empty_string"),
    "long stop": ({"stop": "x" * 257}, "stop", "string_above_max_length"),
    "effort": ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value"),
    "verbosity": ({"verbosity": ""}, "verbosity", "invalid_value"),
    "tier": ({"service_tier": "gold"}, "service_tier", "invalid_value"),
    "identifier": ({"safety_identifier": "x" * 65}, "safety_identifier", "string_above_max_length"),
    "metadata pairs": (
        {"metadata": {str(i): "" for i in range(17)}},
        "metadata",
        "object_above_max_properties",
    ),
    "metadata key": ({"metadata": {"k" * 65: ""}}, "metadata", "string_above_max_length"),
    "metadata value": ({"metadata": {"k": "v" * 513}}, "metadata", "string_above_max_length"),
    "bias": ({"logit_bias": {"1": 101}}, "logit_bias", "decimal_above_max_value"),
    "search size": (
        {"web_search_options": {"search_context_size": "xl"}},
        "web_search_options.search_context_size",
        "invalid_value",
    ),
    "stream options": ({"stream_options": {"include_usage": True}}, "stream_options", None),
    "stream options, false": ({"stream": False, "stream_options": {}}, "stream_options", None),
    "choice without tools": ({"tool_choice": "auto"}, "tool_choice", None),
    "choice with empty tools": ({"tools": [], "tool_choice": "required"}, "tool_choice", None),
    "named choice": ({"tool_choice": {"type": "function"}}, "tool_choice", None),
    "unknown choice": ({"tool_choice": "maybe"}, "tool_choice", "invalid_value"),
    "tools": ({"tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
    "tools not wanted": (
        {"tools": [{"type": "function"}], "tool_choice": "none"},
        "tools",
        "unsupported_parameter",
    ),
    "functions": ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
    "function_call": ({"function_call": {"name": "f"}}, "function_call", None),
    "logprobs": ({"logprobs": True}, "logprobs", "unsupported_parameter"),
    "top_logprobs": ({"top_logprobs": 0}, "top_logprobs", "unsupported_parameter"),
    "audio": ({"audio": {}}, "audio", "unsupported_parameter"),
    "audio modality": ({"modalities": ["text", "audio"]}, "modalities", "unsupported_value"),
    "unknown modality": ({"modalities": ["smell"]}, "modalities", "invalid_value"),
    "json": ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_value"),
    "schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "response_format",
        "unsupported_value",
    ),
    "format without type": (
        {"response_format": {}},
        "response_format.type",
        "missing_required_parameter",
    ),
    "unknown format": (
        {"response_format": {"type": "xml"}},
        "response_format.type",
        "invalid_value",
    ),
}


@pytest.mark.parametrize(("fields", "param", "code"), ILLEGAL.values(), ids=ILLEGAL)
def test_what_is_not_legal_or_cannot_be_honoured_is_refused(fields, param, code):
    with pytest.raises(ServiceError) as caught:
        check_parameters(body(**fields))
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.row.http_status == 400


def test_a_range_is_told_in_openai_s_words():
    with pytest.raises(ServiceError) as caught:
        check_parameters(body(temperature=200))
    assert caught.value.message == (
        "Invalid 'temperature': decimal above maximum value. "
        "Expected a value <= 2, but got 200 instead."
    )


def test_a_huge_number_is_not_quoted_whole():
    with pytest.raises(ServiceError) as caught:
        check_parameters(body(n=10**1000))
    assert len(caught.value.message) < 200


def test_parameters_that_must_not_be_ignored_have_their_reason():
    with pytest.raises(ServiceError) as caught:
        check_parameters(body(n=2))
    assert caught.value.reason is Reason.UNSUPPORTED_PARAMETER


IGNORED = {
    "logit_bias": {"1": 5},
    "metadata": {"a": "b"},
    "moderation": {"mode": "low"},
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"ttl": 1},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "none",
    "safety_identifier": "s",
    "service_tier": "flex",
    "store": True,
    "user": "u",
    "verbosity": "low",
}
NEUTRAL = {
    "logit_bias": {},
    "metadata": {},
    "moderation": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": "",
    "prompt_cache_options": {},
    "safety_identifier": "",
    "service_tier": "auto",
    "store": False,
    "user": "",
    "verbosity": "medium",
    "stream_options": {"include_obfuscation": False},
    "web_search_options": {"search_context_size": "medium", "user_location": {}},
}


@pytest.mark.parametrize("name", IGNORED)
def test_what_cannot_be_honoured_is_named(name):
    assert list(ignored_parameters(body(**{name: IGNORED[name]}))) == [name]


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_means_nothing_is_not_named(name):
    assert not list(ignored_parameters(body(**{name: NEUTRAL[name]})))
    assert not list(ignored_parameters(body(**{name: None})))


def test_parts_of_honoured_options_are_named():
    found = ignored_parameters(
        body(
            stream_options={"include_obfuscation": True},
            web_search_options={"search_context_size": "high", "user_location": {"type": "x"}},
        )
    )
    assert sorted(found) == [
        "stream_options.include_obfuscation",
        "web_search_options.search_context_size",
        "web_search_options.user_location",
    ]
