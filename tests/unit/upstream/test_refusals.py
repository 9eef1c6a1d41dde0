from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.upstream.refusals import is_error, refusal_of_answer, refusal_of_object

NOW = 1_790_000_000.0

KEYS = ["error", "message", "code", "errorCode", "details", "response", "status", "retryAfter"]

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def refusal(body, status=400, retry_after=None):
    return refusal_of_answer(status, body, reason="The Reason", retry_after=retry_after, now=NOW)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("unsupported_model_chat", "UNSUPPORTED_MODEL", "Model no-such-model is not supported"),
        ("unauthorized_docs", "UNAUTHORIZED", "Invalid or missing API key"),
        ("unauthorized_old", "", "Invalid API Key"),
        ("api_key_deleted", "HTTP_EXCEPTION", "API Key has been deleted"),
        ("rate_limited_docs", "RATE_LIMITED", "Too many requests"),
        ("rate_limited_plain", "", "too many requests"),
        ("mock_style", "", "Invalid API key"),
        (
            "prompt_object_validation_docs",
            "PROMPT_OBJECT_VALIDATION_FAILED",
            "Invalid prompt object",
        ),
        ("openai_unexpected_error", "OPEN_AI_UNEXPECTED_ERROR", "OPEN_AI_UNEXPECTED_ERROR"),
    ],
)
def test_code_and_message_of_each_json_shape(data, name, code, message):
    error = refusal((data / "errors" / f"{name}.json").read_bytes())
    assert (error.status, error.code, error.message) == (400, code, message)
    assert error.is_json


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"error code: 1010", id="plain text"),
        pytest.param(b"<!DOCTYPE html><html></html>", id="a page"),
        pytest.param(b'{"message": "cut o', id="broken JSON"),
        pytest.param(b'["an", "array"]', id="an array"),
        pytest.param(b'"a text"', id="a JSON text"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
    ],
)
def test_what_is_no_json_object_is_told_by_the_reason_phrase(body):
    error = refusal(body, status=502)
    assert (error.status, error.code, error.message) == (502, "", "The Reason")
    assert not error.is_json


@pytest.mark.parametrize(
    ("details", "inner_status"),
    [
        pytest.param('{"response": {"status": 429}}', 429, id="JSON in a string"),
        pytest.param({"response": {"status": 503}}, 503, id="an object"),
        pytest.param('[{"field": "a"}]', None, id="a list"),
        pytest.param("not JSON", None, id="text"),
        pytest.param('{"response": {"status": "429"}}', None, id="a text for a number"),
        pytest.param({"response": {"status": 99999}}, None, id="no HTTP status"),
        pytest.param({"response": []}, None, id="no response"),
        pytest.param(None, None, id="null"),
    ],
)
def test_the_vendors_status_is_read_from_the_details(details, inner_status):
    body = {"errorCode": "EXTERNAL_API_RESPONSE_WITH_ERROR", "details": details}
    assert refusal(json.dumps(body).encode()).inner_status == inner_status
    assert refusal_of_object({"error": {"details": details}}).inner_status == inner_status


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {"data": {"error": {"code": "blocked", "message": "Rejected."}}},
            "Busy blocked Rejected.",
        ),
        (
            {"data": {"code": "InvalidParameter", "message": "Too big."}},
            "Busy InvalidParameter Too big.",
        ),
        ({"data": {"message": "Too long."}}, "Busy Too long."),
        ({"data": {"error": "plain"}}, "Busy"),
        ({"data": "plain"}, "Busy"),
        ({}, "Busy"),
    ],
    ids=["error object", "flat", "message alone", "text", "no object", "nothing"],
)
def test_the_vendors_words_follow_the_providers(answer, words):
    details = json.dumps({"response": {"status": 400, **answer}})
    assert refusal_of_object({"message": "Busy", "details": details}).message == words


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("26", 26.0, id="seconds"),
        pytest.param(" 1.5 ", 1.5, id="a fraction"),
        pytest.param("0", 0.0, id="zero"),
        pytest.param("999999", 3600.0, id="too long"),
        pytest.param("9" * 5000, None, id="a number too long to be one"),
        pytest.param("-5", None, id="negative"),
        pytest.param("Mon, 21 Sep 2026 14:14:00 GMT", 40.0, id="a date"),
        pytest.param("Mon, 21 Sep 2020 14:14:00 GMT", 0.0, id="a date that has passed"),
        pytest.param("Mon, 21 Sep 9999 14:14:00 GMT", 3600.0, id="a date far off"),
        pytest.param("Mon, 99 Sep 2026 99:14:00 GMT", None, id="no date"),
        pytest.param("soon", None, id="words"),
        pytest.param("", None, id="empty"),
        pytest.param("١٢", None, id="other digits"),
    ],
)
def test_the_wait_in_the_header(header, seconds):
    # NOW is 21 September 2026, 14:13:20 GMT.
    assert refusal(b"{}", status=429, retry_after=header).retry_after == seconds
    assert refusal(b"<html>", status=429, retry_after=header).retry_after == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        pytest.param({"message": "m", "retryAfter": 26}, 26.0, id="a number"),
        pytest.param({"message": "m", "retryAfter": "26"}, 26.0, id="a text"),
        pytest.param({"error": {"message": "m", "retryAfter": 3}}, 3.0, id="inside"),
        pytest.param({"message": "Please try again after 26 seconds"}, 26.0, id="words"),
        pytest.param({"error": {"message": "try again after 1 second."}}, 1.0, id="words inside"),
        pytest.param({"message": "after 99999 seconds"}, 3600.0, id="too long"),
        pytest.param({"message": "m", "retryAfter": -4}, 0.0, id="negative"),
        pytest.param({"message": "m", "retryAfter": True}, None, id="a bool"),
        pytest.param({"message": "m", "retryAfter": [1]}, None, id="a list"),
        pytest.param({"message": "after 5 credits"}, None, id="other words"),
        pytest.param({"message": "m"}, None, id="none"),
    ],
)
def test_the_wait_in_the_body(body, seconds):
    assert refusal(json.dumps(body).encode(), status=429).retry_after == seconds


def test_the_header_wins_over_the_body():
    assert refusal(b'{"retryAfter": 26}', status=429, retry_after="3").retry_after == 3.0


def test_texts_are_bounded():
    error = refusal_of_object({"errorCode": "C" * 10_000, "message": "M" * 100_000})
    assert (len(error.code), len(error.message)) == (128, 4096)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"errorCode": "X"}, True),
        ({"error": {"message": "x"}}, True),
        ({"error": "x"}, True),
        ({"success": False}, True),
        ({"error": None, "success": True}, False),
        ({"message": "Stream completed"}, False),
    ],
)
def test_what_counts_as_an_error(value, expected):
    assert is_error(value) is expected


@settings(max_examples=200, deadline=None)
@given(value=JSON_VALUES, header=st.none() | st.text(max_size=30))
def test_any_body_is_some_refusal(value, header):
    error = refusal(json.dumps(value).encode(), status=429, retry_after=header)
    assert error.retry_after is None or 0 <= error.retry_after <= 3600
    assert error.inner_status is None or 100 <= error.inner_status <= 599
