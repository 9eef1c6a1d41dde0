"""Every fault of the menu over a real socket; the tables below are the expectations."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.simulator.faults.menu import FAULTS, FLAKY
from tests.unit.simulator.raw import CHAT, STREAM, ask, chat_body

pytestmark = pytest.mark.anyio

TEXT = "Grüße aus 日本, and a few more words"


def asking(fault, text=TEXT):
    return chat_body(f"repeat: {text} [[fault:{fault}]]")


async def whole(simulator, fault, **options):
    return await ask(simulator.url, CHAT, asking(fault), **options)


async def streamed(simulator, fault, **options):
    return await ask(simulator.url, STREAM, asking(fault), **options)


# -- refusals: status, content type, a part of the body ---------------------------------------

JSON, HTML, PLAIN = "application/json", "text/html", "text/plain"

REFUSALS = {
    "unauthorized-docs": (401, JSON, '"code": "UNAUTHORIZED"'),
    "unauthorized-old": (401, JSON, '{"message": "Invalid API Key"}'),
    "api-key-deleted": (401, JSON, "API Key has been deleted"),
    "api-key-not-active": (401, JSON, "API Key is not active"),
    "mock-style-401": (401, JSON, '"statusCode": 401'),
    "web-session-only": (401, JSON, "INVALID_AUTH_TOKEN"),
    "forbidden-json-403": (403, JSON, "FORBIDDEN"),
    "insufficient-credits": (406, JSON, '"errorCode": "INSUFFICIENT_CREDITS"'),
    "payment-required": (402, JSON, "Payment required"),
    "rate-limited-docs": (429, JSON, '"code": "RATE_LIMITED"'),
    "rate-limited-retry-after": (429, JSON, '"retryAfter": 26'),
    "rate-limited-header": (429, JSON, "Too many requests"),
    "rate-limited-plain": (429, JSON, '{"error": "too many requests"}'),
    "cloudflare-1010": (403, PLAIN, "error code: 1010"),
    "cloudflare-1015": (429, PLAIN, "error code: 1015"),
    "challenge-403": (403, HTML, "Just a moment..."),
    "bad-gateway-502": (502, HTML, "Bad Gateway"),
    "unavailable-503": (503, HTML, "Service Unavailable"),
    "gateway-timeout-504": (504, HTML, "Gateway Time-out"),
    "origin-timeout-522": (522, HTML, "Connection timed out"),
    "internal-error": (500, JSON, "INTERNAL_SERVER_ERROR"),
    "unavailable-json-503": (503, JSON, "SERVICE_UNAVAILABLE"),
    "empty-500": (500, PLAIN, ""),
    "empty-200": (200, JSON, ""),
    "ok-but-html": (200, HTML, "1min.AI"),
    "external-api-error": (400, JSON, r"\"status\": 400"),
    "external-api-error-busy": (400, JSON, r"\"status\": 503"),
    "external-api-error-moderation": (400, JSON, "moderation_blocked"),
    "openai-unexpected-error": (400, JSON, '"message": "OPEN_AI_UNEXPECTED_ERROR"'),
    "openai-invalid-value": (400, JSON, "Supported values are"),
    "unsupported-model-chat": (400, JSON, "Model no-such-model is not supported"),
    "unsupported-model-feature": (400, JSON, "for feature IMAGE_GENERATOR"),
    "unsupported-feature-type": (400, JSON, "Unsupported feature type"),
    "invalid-model-old": (400, JSON, "Invalid model no-such-model"),
    "request-body-validation": (400, JSON, "REQUEST_BODY_VALIDATION_FAILED"),
    "prompt-object-validation": (422, JSON, '"code": "PROMPT_OBJECT_VALIDATION_FAILED"'),
    "prompt-object-validation-flat": (400, JSON, '"errorCode": "PROMPT_OBJECT_VALIDATION_FAILED"'),
    "invalid-request-docs": (400, JSON, '"code": "INVALID_REQUEST"'),
    "missing-required-fields": (400, JSON, "MISSING_REQUIRED_FIELDS"),
    "media-analysis-failed": (400, JSON, "Failed to analyze media file: https://"),
    "payload-too-large": (413, HTML, "Request Entity Too Large"),
    "redirect": (307, PLAIN, ""),
}


@pytest.mark.parametrize("target", [CHAT, STREAM], ids=["whole", "streamed"])
@pytest.mark.parametrize(("fault", "expected"), REFUSALS.items(), ids=REFUSALS)
async def test_refusals(simulator, fault, expected, target):
    answer = await ask(simulator.url, target, asking(fault))
    status, content_type, fragment = expected
    assert (answer.status, answer.ended) == (status, "complete")
    assert answer.headers["content-type"].startswith(content_type)
    assert fragment in answer.body.decode()
    assert bool(answer.body) == bool(fragment)


@pytest.mark.parametrize(
    ("fault", "header", "value"),
    [
        ("rate-limited-header", "retry-after", "26"),
        ("rate-limited-header:7", "retry-after", "7"),
        (
            "rate-limited-header:Wed, 25 Nov 2026 10:00:00 GMT",
            "retry-after",
            "Wed, 25 Nov 2026 10:00:00 GMT",
        ),
        ("rate-limited-retry-after", "retry-after", None),
        ("cloudflare-1015", "retry-after", "60"),
        ("challenge-403", "cf-mitigated", "challenge"),
        ("redirect", "location", "https://elsewhere.invalid/"),
        ("redirect:http://127.0.0.1:9/x", "location", "http://127.0.0.1:9/x"),
    ],
)
async def test_the_headers_of_refusals(simulator, fault, header, value):
    answer = await whole(simulator, fault)
    assert answer.headers.get(header) == value


async def test_the_wait_in_a_body_can_be_chosen(simulator):
    answer = await whole(simulator, "rate-limited-retry-after:0.5")
    assert answer.json["retryAfter"] == 0.5


# -- what is said: a check of the whole answer, then one of the stream ------------------------


def both_results(result):
    return (lambda a: a.result == result, lambda a: (a.text, a.streamed_result) == (TEXT, result))


def silent(check):
    return (lambda a: check(a.record), lambda a: not a.text and check(a.streamed_record))


def metadata(check):
    return (
        lambda a: check(a.record["metadata"]) and a.result == [TEXT],
        lambda a: check(a.streamed_record["metadata"]) and a.text == TEXT,
    )


def result_of(record):
    return record["aiRecordDetail"]["resultObject"]


def unchanged(answer):
    return answer.result == [TEXT] and answer.record["status"] == "SUCCESS"


def bare(payload):
    return (lambda a: a.json == payload, lambda a: ("result", payload) in a.events)


GIANT = 300_000

SAID = {
    "double-middle": (
        lambda a: a.result == ["haha!"],
        lambda a: a.contents == ["", "ha", "ha", "!", ""] and a.streamed_result == ["haha!"],
    ),
    "double-end": (
        lambda a: a.result == ["haha"],
        lambda a: a.contents == ["", "ha", "ha", ""] and a.streamed_result == ["haha"],
    ),
    f"giant-event:{GIANT}": (
        lambda a: len(a.result[0]) == GIANT,
        lambda a: [len(text) for text in a.contents] == [0, GIANT, 0],
    ),
    "empty": (lambda a: a.result == [], lambda a: a.contents == ["", ""] and not a.streamed_result),
    "cumulative": (
        unchanged,
        lambda a: (
            a.contents[-1] == TEXT
            and all(b.startswith(a) for a, b in zip(a.contents, a.contents[1:], strict=False))
        ),
    ),
    "repeat": (unchanged, lambda a: a.text == TEXT * 2 and a.contents[-2:] == [TEXT, ""]),
    "result-only": (
        unchanged,
        lambda a: a.names == ["result", "done"] and a.streamed_result == [TEXT],
    ),
    "result-mismatch": (
        unchanged,
        lambda a: a.text == TEXT and TEXT not in a.streamed_result[0],
    ),
    "result-longer": (
        unchanged,
        lambda a: a.text == TEXT and a.streamed_result == [f"{TEXT} And one more sentence."],
    ),
    "failed-status": silent(lambda r: (r["status"], result_of(r)) == ("FAILED", [])),
    "failure-status": silent(lambda r: (r["status"], result_of(r)) == ("FAILURE", [])),
    "credits-in-result": silent(lambda r: result_of(r)["code"] == "INSUFFICIENT_CREDITS"),
    "moderation-in-result": silent(lambda r: result_of(r)["code"] == "CONTENT_MODERATION"),
    "null-result": silent(lambda r: result_of(r) is None),
    "string-result": both_results(TEXT),
    "object-result": both_results({"text": TEXT}),
    "object-result:answer": both_results({"answer": TEXT}),
    "multi-part": (
        lambda a: len(a.result) == 2 and "".join(a.result) == TEXT,
        lambda a: len(a.streamed_result) == 2 and a.text == TEXT,
    ),
    "no-usage": metadata(lambda usage: usage is None),
    "zero-usage": metadata(lambda usage: usage["totalToken"] == 0 and "finishReason" not in usage),
    "finish-length": metadata(lambda usage: usage["finishReason"] == "MAX_TOKENS"),
    "finish-safety": metadata(lambda usage: usage["finishReason"] == "SAFETY"),
    "wrong-types": (
        lambda a: a.result == 42 and a.record["status"] == ["SUCCESS"],
        lambda a: set(a.contents) == {42} and a.streamed_result == 42,
    ),
    "message-in-result": (
        unchanged,
        lambda a: dict(a.events)["result"]["message"] == "Stream completed",
    ),
    "bare-result": bare({"result": TEXT}),
    "bare-result:text": bare({"text": TEXT}),
    "bare-result:aiRecord.resultObject": bare({"aiRecord": {"resultObject": TEXT}}),
    "invalid-json": (
        lambda a: a.body.startswith(b'{"aiRecord"') and not a.body.endswith(b"}"),
        lambda a: isinstance(dict(a.events)["result"], str) and a.text == TEXT,
    ),
}


@pytest.mark.parametrize(("fault", "checks"), SAID.items(), ids=SAID)
async def test_what_is_said_in_a_whole_answer(simulator, fault, checks):
    answer = await whole(simulator, fault)
    assert (answer.status, answer.ended) == (200, "complete")
    assert checks[0](answer)


@pytest.mark.parametrize(("fault", "checks"), SAID.items(), ids=SAID)
async def test_what_is_said_in_a_stream(simulator, fault, checks):
    answer = await streamed(simulator, fault)
    assert (answer.status, answer.ended) == (200, "complete")
    assert checks[1](answer)


# -- the events of a stream; whole answers are left alone --------------------------------------


def fails_first(check):
    return lambda a: a.names == ["error"] and check(a.events[0][1])


def fails_midway(check):
    return lambda a: (
        a.names == ["content", "error"]
        and a.text
        and TEXT.startswith(a.text)
        and a.text != TEXT
        and check(a.events[-1][1])
    )


def good_text(check):
    return lambda a: a.text == TEXT and check(a)


def is_busy(data):
    return set(data) == {"error"} and isinstance(data["error"], str)


def has_code(data):
    return data["error"]["code"] == "INSUFFICIENT_CREDITS"


def has_error_code(data):
    return data["errorCode"] == "UNKNOWN_ERROR"


def is_plain(data):
    return data == "upstream provider failed"


BROKEN = ("content", '{"content":')


def texts_around(answer):
    """The contents beside the broken event."""
    texts = [
        data["content"]
        for name, data in answer.events
        if (name, data) != BROKEN and name == "content"
    ]
    return "".join(texts)


STREAMED = {
    "no-done": good_text(lambda a: a.names == ["content", "result"]),
    "no-result": good_text(lambda a: a.names == ["content", "done"]),
    "no-end": good_text(lambda a: a.names == ["content"]),
    "unknown-event": good_text(lambda a: "progress" in a.names and a.names[-1] == "done"),
    "bad-event": lambda a: BROKEN in a.events and texts_around(a) == TEXT,
    "bad-event:lost": lambda a: BROKEN in a.events and len(texts_around(a)) < len(TEXT),
    "error-first": fails_first(is_busy),
    "error-midway": fails_midway(is_busy),
    "error-object": fails_first(has_code),
    "error-object:midway": fails_midway(has_code),
    "error-message-form": fails_first(has_error_code),
    "error-message-form:midway": fails_midway(has_error_code),
    "error-plain-text": fails_first(is_plain),
    "error-plain-text:midway": fails_midway(is_plain),
    "data-only": lambda a: (
        a.names == [None]
        and a.events[-1] == (None, "[DONE]")
        and "".join(data["content"] for _, data in a.events[:-1]) == TEXT
    ),
    "multi-data-lines": good_text(
        lambda a: b'data: {"content":\ndata: "' in a.body and a.streamed_result == [TEXT]
    ),
    "comments": good_text(
        lambda a: (
            a.body.startswith(b": ping\n")
            and b"\nid: 4\nretry: 1500\n" in a.body
            and b"\ndata: \n" in a.body
            and b"event:content\ndata:{" in a.body
            and a.events[-1] == (None, "[DONE]")
        )
    ),
    "crlf": good_text(lambda a: a.body.count(b"\n") == a.body.count(b"\r\n") > 10),
    "raw-text": lambda a: (
        a.body.decode() == TEXT and a.headers["content-type"] == "text/plain; charset=utf-8"
    ),
}


@pytest.mark.parametrize(("fault", "check"), STREAMED.items(), ids=STREAMED)
async def test_the_events_of_a_stream(simulator, fault, check):
    answer = await streamed(simulator, fault)
    assert (answer.status, answer.ended) == (200, "complete")
    assert check(answer)


@pytest.mark.parametrize("fault", STREAMED)
async def test_stream_faults_leave_whole_answers_alone(simulator, fault):
    assert unchanged(await whole(simulator, fault))


# -- the wire ----------------------------------------------------------------------------------


def is_torn(answer):
    try:
        answer.body.decode()
    except UnicodeDecodeError:
        return True
    return False


def starts_well(answer):
    return answer.contents and TEXT.startswith(answer.text)


BROKEN_OFF = {
    "reset": (None, "reset", lambda a: not a.body),
    "reset-after-head": (200, "reset", lambda a: not a.body),
    "reset-midway": (200, "reset", starts_well),
    "close-midway": (200, "cut", starts_well),
    "close-in-event": (200, "cut", lambda a: not a.body.endswith(b"\n\n") and not is_torn(a)),
    "close-in-char": (200, "cut", is_torn),
    "clean-close-in-event": (200, "complete", lambda a: not a.body.endswith(b"\n\n")),
}


@pytest.mark.parametrize(("fault", "expected"), BROKEN_OFF.items(), ids=BROKEN_OFF)
async def test_a_stream_that_breaks_off(simulator, fault, expected):
    answer = await streamed(simulator, fault)
    status, ended, check = expected
    assert (answer.status, answer.ended) == (status, ended)
    assert check(answer)
    await simulator.until(lambda: simulator.seen[-1].state == "finished")


@pytest.mark.parametrize("fault", BROKEN_OFF)
async def test_a_whole_answer_that_breaks_off(simulator, fault):
    answer = await whole(simulator, fault)
    assert (answer.status, answer.ended) == BROKEN_OFF[fault][:2]
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|decode"):
        json.loads(answer.body)


SILENT = {
    "hang": lambda a: a.status is None,
    "stall": lambda a: a.contents == ["", "Grüße", " aus"],
    "stall:0": lambda a: a.status == 200 and not a.body,
    "stall:1": lambda a: a.contents == [""],
}


@pytest.mark.parametrize(("fault", "check"), SILENT.items(), ids=SILENT)
async def test_silence_in_a_stream_lasts_until_the_client_leaves(simulator, fault, check):
    answer = await streamed(simulator, fault, patience=0.4)
    assert answer.ended == "silent"
    assert check(answer)
    await simulator.until(lambda: simulator.seen[-1].state == "aborted")


@pytest.mark.parametrize("fault", SILENT)
async def test_silence_in_a_whole_answer_lasts_until_the_client_leaves(simulator, fault):
    answer = await whole(simulator, fault, patience=0.4)
    assert answer.ended == "silent"
    assert bool(answer.body) == (fault in {"stall", "stall:1"})
    await simulator.until(lambda: simulator.seen[-1].state == "aborted")


async def test_endless_goes_on_until_the_client_leaves(simulator):
    answer = await streamed(simulator, "endless:0", enough=lambda a: len(a.chunks) > 100)
    assert answer.text.count("and so on") > 80
    await simulator.until(lambda: simulator.seen[-1].state == "aborted")


async def test_endless_leaves_whole_answers_alone(simulator):
    assert unchanged(await whole(simulator, "endless"))


@pytest.mark.parametrize(("target", "read"), [(CHAT, "result"), (STREAM, "streamed_result")])
@pytest.mark.parametrize(
    ("fault", "sizes"), [("cut-utf8", [1, 2, 3, 1, 2, 3]), ("byte-by-byte", [1] * 6)]
)
async def test_small_network_chunks(simulator, fault, sizes, target, read):
    answer = await ask(simulator.url, target, asking(fault))
    assert getattr(answer, read) == [TEXT]
    if target == STREAM:
        assert [len(chunk) for chunk in answer.chunks[:6]] == sizes


async def test_one_chunk(simulator):
    answer = await streamed(simulator, "one-chunk")
    assert answer.text == TEXT
    assert len(answer.chunks) == 1


@pytest.mark.parametrize("target", [CHAT, STREAM], ids=["whole", "streamed"])
async def test_latency_is_before_the_head(simulator, target):
    answer = await ask(simulator.url, target, asking("latency:0.2"))
    assert answer.ended == "complete"
    assert answer.head_after >= 0.2


@pytest.mark.parametrize("target", [CHAT, STREAM], ids=["whole", "streamed"])
async def test_first_byte_is_silence_after_the_head(simulator, target):
    answer = await ask(simulator.url, target, asking("first-byte:60"), patience=0.4)
    assert (answer.status, answer.ended, answer.body) == (200, "silent", b"")


async def test_the_silence_of_first_byte_ends(simulator):
    assert unchanged(await whole(simulator, "first-byte:0.01"))


async def test_slow_is_silence_between_events(simulator):
    answer = await streamed(simulator, "slow:0.02")
    assert answer.text == TEXT
    assert answer.took >= 0.02 * (len(answer.chunks) - 1)


async def test_a_slow_whole_answer_comes_in_parts(simulator):
    answer = await whole(simulator, "slow:0.02")
    assert unchanged(answer)
    assert answer.took >= 0.02 * 9


@pytest.mark.parametrize("target", [CHAT, STREAM], ids=["whole", "streamed"])
async def test_the_bomb_is_small_and_inflates_to_a_good_answer(simulator, target):
    answer = await ask(
        simulator.url, target, asking("gzip-bomb:3000000"), headers=("Accept-Encoding: identity",)
    )
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 10_000
    answer.body = zlib.decompress(answer.body, 16 + zlib.MAX_WBITS)
    assert len(answer.body) > 3_000_000
    assert (answer.result if target == CHAT else answer.streamed_result) == [TEXT]


@pytest.mark.parametrize(
    ("fault", "content_type"),
    [
        ("wrong-content-type", "application/octet-stream"),
        ("wrong-content-type:text/html", "text/html"),
    ],
)
async def test_wrong_content_type(simulator, fault, content_type):
    for answer in (await whole(simulator, fault), await streamed(simulator, fault)):
        assert answer.headers["content-type"] == content_type
        assert TEXT.encode() in answer.body


async def test_flaky_fails_first_and_then_works(simulator):
    body = asking("flaky:2:unavailable-json-503")
    statuses = [(await ask(simulator.url, CHAT, body)).status for _ in range(4)]
    assert statuses == [503, 503, 200, 200]


WIRE = {
    *BROKEN_OFF,
    *SILENT,
    "endless",
    "cut-utf8",
    "byte-by-byte",
    "one-chunk",
    "latency",
    "first-byte",
    "slow",
    "gzip-bomb",
    "wrong-content-type",
    "flaky",
}


def test_every_fault_of_the_menu_is_exercised():
    exercised = {spec.split(":")[0] for spec in (*REFUSALS, *SAID, *STREAMED, *WIRE)}
    assert exercised == set(FAULTS)


# -- combinations ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["sim-crlf", "sim-error-object-midway", "sim-failed-status"])
async def test_a_fault_by_key_equals_the_fault_by_prompt(simulator, key):
    fault = key.removeprefix("sim-").replace("-midway", ":midway")
    by_key = await ask(simulator.url, STREAM, chat_body(f"repeat: {TEXT}"), key=key)
    by_prompt = await streamed(simulator, fault)
    assert by_key.contents[:3] == by_prompt.contents[:3]
    assert by_key.names == by_prompt.names


async def test_slow_crlf_in_small_chunks(simulator):
    answer = await streamed(simulator, "slow:0.005]][[fault:crlf]][[fault:cut-utf8")
    assert answer.text == TEXT
    assert b"\r\n" in answer.body
    assert max(len(chunk) for chunk in answer.chunks) <= 3


async def test_a_refusal_travels_as_badly_as_an_answer(simulator):
    answer = await whole(simulator, "internal-error]][[fault:close-midway")
    assert (answer.status, answer.ended) == (500, "cut")


NEVER_ENDS = {"hang", "stall", "endless", FLAKY.name}
QUICK = {"latency": ":0", "first-byte": ":0", "slow": ":0", "gzip-bomb": ":10", "giant-event": ":9"}
COMBINABLE = sorted(
    [*(name + QUICK.get(name, "") for name in set(FAULTS) - NEVER_ENDS), "bad-event:lost"]
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    faults=st.lists(st.sampled_from(COMBINABLE), min_size=2, max_size=4), streaming=st.booleans()
)
async def test_no_combination_breaks_the_simulator(simulator, faults, streaming):
    prompt = "count to 3 " + "".join(f"[[fault:{fault}]]" for fault in faults)
    answer = await ask(simulator.url, STREAM if streaming else CHAT, chat_body(prompt))
    assert answer.status in {None, 200} or b"got itself in trouble" not in answer.body
