"""What each outcome of the matrix means to a client, spelt out for both doors."""

from __future__ import annotations

import json
import math
import re

from service.errors import DOMAIN
from service.simulator.faults.refusals import REFUSALS
from tests.faults.matrix import Whole

STREAM_TYPE = "text/event-stream; charset=utf-8"


def check(column, case, answer):
    """Fail unless `answer` is the outcome of a case."""
    if isinstance(case.outcome, Whole):
        _CHECK_WHOLE[column.protocol, column.is_streamed](answer, case.outcome)
    elif column.is_after:
        _CHECK_BROKEN[column.protocol](answer, case)
    else:
        _CHECK_REFUSAL[column.protocol](answer, case.outcome)


def _http_refusal(answer, failure):
    assert (answer.status, answer.error["code"]) == (failure.status, failure.code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "the-id"
    _check_error_object(answer.error, failure)
    hints = {
        name: answer.headers.get(name)
        for name in ("retry-after", "retry-after-ms", "x-should-retry")
    }
    if failure.hint is not None:
        expected = (str(math.ceil(failure.hint)), str(math.ceil(failure.hint * 1000)), None)
    else:
        expected = (None, None, "false" if failure.is_retried_unasked else None)
    assert tuple(hints.values()) == expected


def _check_error_object(error, failure):
    assert list(error) == ["message", "type", "param", "code"]
    assert isinstance(error["message"], str)
    assert (error["type"], error["param"]) == (failure.type, failure.param)
    assert error["code"] == failure.code


def _http_broken(answer, case):
    assert (answer.status, answer.headers["content-type"]) == (200, STREAM_TYPE)
    opening, *deltas, error = answer.events()
    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    _check_error_object(error["error"], case.outcome)
    choices = [delta["choices"][0] for delta in deltas]  # so neither `[DONE]` nor a second error
    assert {choice["finish_reason"] for choice in choices} <= {None}
    _check_part("".join(choice["delta"]["content"] for choice in choices), case)


def _check_part(text, case):
    """What came is delivered, and is not the whole: the failure says so."""
    assert text.startswith("1, 2") if case.says_text else text == ""


def _http_whole(answer, whole):
    assert answer.status == 200, answer.body
    (choice,) = json.loads(answer.body)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (
        whole.text,
        whole.finish_reason,
    )


def _http_whole_stream(answer, whole):
    assert (answer.status, answer.headers["content-type"]) == (200, STREAM_TYPE), answer.body
    *chunks, done = answer.events()
    assert done == "data: [DONE]"
    choices = [chunk["choices"][0] for chunk in chunks]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == whole.text
    reasons = [choice["finish_reason"] for choice in choices]
    assert reasons == [None] * (len(choices) - 1) + [whole.finish_reason]


def _grpc_refusal(answer, failure):
    _check_status(answer, failure)
    assert answer.messages == []
    # In the initial metadata it would switch off the client's own retries of UNAVAILABLE.
    assert answer.trailing["x-request-id"] == "the-id"
    assert "x-request-id" not in answer.initial


def _check_status(answer, failure):
    assert answer.code == failure.grpc
    (info,) = answer.details("ErrorInfo")
    assert (info.reason, info.domain) == (failure.reason, DOMAIN)
    assert [detail.request_id for detail in answer.details("RequestInfo")] == ["the-id"]
    waits = [info.retry_delay.ToMilliseconds() / 1000 for info in answer.details("RetryInfo")]
    assert waits == ([] if failure.hint is None else [failure.hint])
    pushback = "-1" if failure.hint is None else str(math.ceil(failure.hint * 1000))
    assert answer.trailing["grpc-retry-pushback-ms"] == pushback


def _grpc_broken(answer, case):
    _check_status(answer, case.outcome)
    assert answer.initial["x-request-id"] == "the-id"
    started, *deltas = answer.messages
    assert started.HasField("started")
    assert all(delta.HasField("delta") for delta in deltas)
    _check_part("".join(delta.delta.text for delta in deltas), case)


_FINISH_REASONS = {"stop": 1, "length": 2}


def _grpc_whole(answer, whole):
    assert answer.code == "OK", answer.message
    (message,) = answer.messages
    assert message.text == whole.text
    assert message.finish_reason == _FINISH_REASONS[whole.finish_reason]


def _grpc_whole_stream(answer, whole):
    assert answer.code == "OK", answer.message
    started, *deltas, completed = answer.messages
    assert started.HasField("started")
    assert "".join(delta.delta.text for delta in deltas) == whole.text
    assert completed.completed.finish_reason == _FINISH_REASONS[whole.finish_reason]


_CHECK_WHOLE = {
    ("http", False): _http_whole,
    ("http", True): _http_whole_stream,
    ("grpc", False): _grpc_whole,
    ("grpc", True): _grpc_whole_stream,
}
_CHECK_BROKEN = {"http": _http_broken, "grpc": _grpc_broken}
_CHECK_REFUSAL = {"http": _http_refusal, "grpc": _grpc_refusal}


def _said_by_the_provider():
    """Yield the words of every refusal that the simulator knows."""
    for fault in REFUSALS:
        body = fault.answer("").body.decode()
        try:
            yield from _texts(json.loads(body))
        except ValueError:
            yield from re.findall(r">([^<\n]+)<", body) or [body]


def _texts(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


_CODE = re.compile(r"[A-Z_]*")  # the provider's code is told on purpose, where it is a plain word

FOREIGN = sorted(
    {text for text in _said_by_the_provider() if len(text) > 6 and not _CODE.fullmatch(text)}
    | {
        "The provider did not answer",
        "Simulated team",
        "Something went wrong",
        "upstream provider failed",
        "a bit busy",
        "content moderation",
        "OpenSSH",
        "elsewhere",
        "storage.example",
        "cloudflare",
        "no-such-provider",
        "localhost",
        "<html",
        "<!DOCTYPE",
        "Traceback",
        'File "',
        "aiohttp",
        "httpx.",
        "Upstream",
        "CERTIFICATE",
        "Errno",
    }
)


def check_nothing_leaks(shown, house, key):
    """Fail if a caller was shown a word of the provider, an address, the key or our insides."""
    secrets = [house.simulator.url.removeprefix("http://"), key, *FOREIGN]
    assert [secret for secret in secrets if secret in shown] == []
