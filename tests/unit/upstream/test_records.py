from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.upstream.errors import UpstreamMalformed, UpstreamRefused
from service.upstream.payloads import ChatRecord, RecordUsage
from service.upstream.records import chat_record

KEYS = ["aiRecord", "aiRecordDetail", "resultObject", "responseObject", "result", "content"]
KEYS += ["text", "status", "metadata", "inputToken", "outputToken", "totalToken", "credit"]
KEYS += ["finishReason", "error", "errorCode", "errorMessage", "code", "message", "name"]

BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["FAILED", "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)


def body_with(result, **record):
    return {"aiRecord": {"status": "SUCCESS", "aiRecordDetail": {"resultObject": result}, **record}}


def text_of(body):
    return chat_record(body).text


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("success", ChatRecord("Seven is a prime number.", "stop", RecordUsage(12, 6, 12.0))),
        ("success_no_usage", ChatRecord("Seven is a prime number.")),
        ("success_zero_usage", ChatRecord("Seven is a prime number.")),
        ("empty_result", ChatRecord(None, "length", RecordUsage(12, 0, 7.0))),
        (
            "success_web_search",
            ChatRecord("A short grounded answer.", "stop", RecordUsage(820, 9, 419.0)),
        ),
    ],
)
def test_recorded_answers(data, name, record):
    assert chat_record(json.loads((data / "chat" / f"{name}.json").read_bytes())) == record


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("success_multi_part", "First sentence. Second sentence."),
        ("success_string_result", "Hi there."),
        ("success_object_result", "Hi there."),
    ],
)
def test_recorded_shapes_of_the_text(data, name, text):
    assert text_of(json.loads((data / "chat" / f"{name}.json").read_bytes())) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        pytest.param(["a"], "a", id="array"),
        pytest.param(["a", "b"], "ab", id="parts join without anything between"),
        pytest.param("a", "a", id="string"),
        pytest.param([""], "", id="an empty text is a text"),
        pytest.param([{"type": "web_search"}, "a", 1, None], "a", id="only strings count"),
        pytest.param([{"type": "web_search"}], None, id="only citations"),
        pytest.param({"text": "a", "content": "b"}, "a", id="first key that is there"),
        pytest.param({"content": "a"}, "a", id="content"),
        pytest.param({"output": "a"}, "a", id="output"),
        pytest.param({"result": "a"}, "a", id="result"),
        pytest.param({"answer": "a"}, "a", id="answer"),
        pytest.param({"message": "a"}, "a", id="message"),
        pytest.param(
            {"code": "print()", "text": "a", "message": "m"}, "a", id="text beside a code"
        ),
        pytest.param({}, None, id="empty object"),
        pytest.param([], None, id="empty array"),
        pytest.param(None, None, id="null"),
        pytest.param(5, None, id="number"),
    ],
)
def test_shapes_of_the_text(result, text):
    assert text_of(body_with(result)) == text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            {"aiRecord": {"aiRecordDetail": {"resultObject": [], "responseObject": {"text": "a"}}}},
            id="responseObject",
        ),
        pytest.param({"aiRecord": {"resultObject": ["a"]}}, id="record.resultObject"),
        pytest.param({"aiRecord": {"result": "a"}}, id="record.result"),
        pytest.param({"aiRecord": {}, "resultObject": ["a"]}, id="resultObject beside a record"),
        pytest.param({"aiRecord": None, "resultObject": ["a"]}, id="resultObject"),
        pytest.param({"result": "a"}, id="result"),
        pytest.param({"content": "a"}, id="content"),
        pytest.param({"text": "a"}, id="text"),
        pytest.param({"aiRecord": {"status": "COMPLETED", "result": "a"}}, id="status COMPLETED"),
        pytest.param({"aiRecord": {"status": "WHATEVER", "result": "a"}}, id="unknown status"),
        pytest.param({"aiRecord": {"status": 7, "result": "a"}}, id="status of a wrong type"),
    ],
)
def test_places_of_the_text(body):
    assert text_of(body) == "a"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param(
            body_with([], status="FAILED", errorMessage="it broke"), "", "it broke", id="FAILED"
        ),
        pytest.param(
            body_with(["half"], status="failure", errorMessage="x"), "", "x", id="failure, any case"
        ),
        pytest.param(
            {"aiRecord": {"status": "FAILED", "aiRecordDetail": {"errorMessage": "deep"}}},
            "",
            "deep",
            id="message in the detail",
        ),
        pytest.param(
            body_with({"code": "C", "message": "m"}, status="FAILED"), "C", "m", id="FAILED, object"
        ),
        pytest.param(body_with(None, status="FAILED"), "", "", id="FAILED without a word"),
        pytest.param(body_with({"code": "C", "message": "m"}), "C", "m", id="object in a success"),
        pytest.param(body_with({"name": "N", "error": "e"}), "", "e", id="name and error"),
        pytest.param({"resultObject": {"code": "C", "message": "m"}}, "C", "m", id="top level"),
        pytest.param({"errorCode": "C", "message": "m"}, "C", "m", id="no record, shape A"),
        pytest.param(
            {"success": False, "error": {"code": "C", "message": "m"}}, "C", "m", id="shape B"
        ),
        pytest.param({"error": "e", "statusCode": 401}, "", "e", id="shape E"),
    ],
)
def test_failures_under_a_success(body, code, message):
    with pytest.raises(UpstreamRefused) as refused:
        chat_record(body)
    assert (refused.value.status, refused.value.code, refused.value.message) == (200, code, message)


@pytest.mark.parametrize(
    "name", ["failed_status", "insufficient_credits_in_result", "moderation_in_result"]
)
def test_recorded_failures(data, name):
    with pytest.raises(UpstreamRefused):
        chat_record(json.loads((data / "chat" / f"{name}.json").read_bytes()))


@pytest.mark.parametrize(
    "body", [None, [], "text", 5, {}, {"aiRecord": None}, {"aiRecord": []}, {"message": "hi"}]
)
def test_no_record_is_malformed(body):
    with pytest.raises(UpstreamMalformed):
        chat_record(body)


@pytest.mark.parametrize(
    ("metadata", "usage"),
    [
        pytest.param((12, 6, 18, 12), RecordUsage(12, 6, 12.0), id="all"),
        pytest.param((12.0, 6, 18, 1.5), RecordUsage(12, 6, 1.5), id="whole floats"),
        pytest.param((12, 6, 18, None), RecordUsage(12, 6, None), id="no price"),
        pytest.param((12, 6, 18, True), RecordUsage(12, 6, None), id="price is a bool"),
        pytest.param((12, 6, 18, -1), RecordUsage(12, 6, None), id="price is negative"),
        pytest.param((0, 0, 0, 0), None, id="zero"),
        pytest.param((12, 6, None, 1), None, id="no total"),
        pytest.param((None, 6, 18, 1), None, id="no prompt"),
        pytest.param((12, "6", 18, 1), None, id="text"),
        pytest.param((True, 6, 18, 1), None, id="bool"),
        pytest.param((12, -6, 18, 1), None, id="negative"),
        pytest.param((12, 6.5, 18, 1), None, id="half a token"),
        pytest.param((12, 2**31, 18, 1), None, id="huge"),
        pytest.param((12, 1e300, 18, 1), None, id="a huge float"),
    ],
)
def test_usage(metadata, usage):
    keys = ("inputToken", "outputToken", "totalToken", "credit")
    body = body_with(["a"], metadata=dict(zip(keys, metadata, strict=True)))
    assert chat_record(body).usage == usage


@pytest.mark.parametrize(
    ("value", "reason"),
    [("stop", "stop"), ("MAX_TOKENS", "max_tokens"), ("", None), (None, None), (5, None)],
)
def test_finish_reason(value, reason):
    assert chat_record(body_with(["a"], metadata={"finishReason": value})).finish_reason == reason


def test_the_text_is_not_shown():
    assert "secret" not in repr(chat_record(body_with(["secret"])))


@settings(max_examples=300, deadline=None)
@given(body=BODIES)
def test_any_body_is_a_record_or_a_named_failure(body):
    try:
        record = chat_record(body)
    except (UpstreamRefused, UpstreamMalformed):
        return
    assert record.text is None or isinstance(record.text, str)
