from __future__ import annotations

import pytest

from service.errors import Reason
from service.translation.failure import RETRY_SECONDS, to_service_error
from service.upstream.errors import (
    UpstreamEmpty,
    UpstreamMalformed,
    UpstreamRefused,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)

BUSY = "The openai service is a bit busy right now or has a temporary issue."


def refused(status, code="", message="", **more):
    return UpstreamRefused(status=status, code=code, message=message, **more)


REFUSALS = {
    "credits, as seen": (refused(406, "INSUFFICIENT_CREDITS"), Reason.QUOTA_EXHAUSTED),
    "credits, by status": (refused(402), Reason.QUOTA_EXHAUSTED),
    "credits, inside a success": (refused(200, "INSUFFICIENT_CREDITS"), Reason.QUOTA_EXHAUSTED),
    "key, documented": (refused(401, "UNAUTHORIZED"), Reason.INVALID_API_KEY),
    "key deleted": (
        refused(401, "HTTP_EXCEPTION", "API Key has been deleted"),
        Reason.INVALID_API_KEY,
    ),
    "key, under 403": (refused(403, "", "API Key is not active"), Reason.INVALID_API_KEY),
    "key, inside a stream": (refused(200, "", "Invalid API Key"), Reason.INVALID_API_KEY),
    "not allowed": (refused(403, "FORBIDDEN", "Not for your plan"), Reason.PERMISSION_DENIED),
    "the CDN's 403": (
        refused(403, "", "error code: 1010", is_json=False),
        Reason.UPSTREAM_UNAVAILABLE,
    ),
    "rate limit": (refused(429, "RATE_LIMITED"), Reason.RATE_LIMITED),
    "rate limit of the CDN": (
        refused(429, "", "error code: 1015", is_json=False),
        Reason.RATE_LIMITED,
    ),
    "rate limit of the vendor": (
        refused(400, "EXTERNAL_API_RESPONSE_WITH_ERROR", BUSY, inner_status=429),
        Reason.RATE_LIMITED,
    ),
    "model, as seen": (refused(400, "UNSUPPORTED_MODEL"), Reason.MODEL_NOT_FOUND),
    "model, inside a stream": (
        refused(200, "", "Model nope is not supported"),
        Reason.MODEL_NOT_FOUND,
    ),
    "model, old wording": (
        refused(400, "", "Invalid model nope for AI feature CHAT_WITH_AI!"),
        Reason.MODEL_NOT_FOUND,
    ),
    "moderation, inside a success": (
        refused(200, "CONTENT_MODERATION", "The request was rejected by content moderation"),
        Reason.CONTENT_REJECTED,
    ),
    "moderation of the vendor": (
        refused(
            400,
            "EXTERNAL_API_RESPONSE_WITH_ERROR",
            f"{BUSY} moderation_blocked Your request was rejected by the safety system.",
            inner_status=400,
        ),
        Reason.CONTENT_REJECTED,
    ),
    "context length": (
        refused(
            400,
            "EXTERNAL_API_RESPONSE_WITH_ERROR",
            "This model's maximum context length is 8192 tokens",
            inner_status=400,
        ),
        Reason.CONTEXT_LENGTH_EXCEEDED,
    ),
    "too large": (refused(413, is_json=False), Reason.PAYLOAD_TOO_LARGE),
    "malformed, documented": (refused(400, "INVALID_REQUEST"), Reason.UPSTREAM_REJECTED),
    "malformed, 422": (refused(422, "PROMPT_OBJECT_VALIDATION_FAILED"), Reason.UPSTREAM_REJECTED),
    "vendor refuses the parameters": (
        refused(400, "EXTERNAL_API_RESPONSE_WITH_ERROR", BUSY, inner_status=400),
        Reason.UPSTREAM_REJECTED,
    ),
    "vendor is busy": (
        refused(400, "EXTERNAL_API_RESPONSE_WITH_ERROR", BUSY, inner_status=503),
        Reason.UPSTREAM_UNAVAILABLE,
    ),
    "vendor, no cause told": (
        refused(400, "EXTERNAL_API_RESPONSE_WITH_ERROR", BUSY),
        Reason.UPSTREAM_UNAVAILABLE,
    ),
    "OpenAI is busy": (
        refused(400, "OPEN_AI_UNEXPECTED_ERROR", "OPEN_AI_UNEXPECTED_ERROR"),
        Reason.UPSTREAM_UNAVAILABLE,
    ),
    "OpenAI refuses a value": (
        refused(400, "OPEN_AI_UNEXPECTED_ERROR", "Invalid value: 'x'. Supported values are: 'y'."),
        Reason.UPSTREAM_REJECTED,
    ),
    "internal error": (refused(500, "INTERNAL_SERVER_ERROR"), Reason.UPSTREAM_UNAVAILABLE),
    "page of a proxy": (refused(502, is_json=False), Reason.UPSTREAM_UNAVAILABLE),
    "gateway time-out": (refused(504, is_json=False), Reason.UPSTREAM_TIMEOUT),
    "origin too slow": (refused(524, is_json=False), Reason.UPSTREAM_TIMEOUT),
    "origin unreachable": (refused(522, is_json=False), Reason.UPSTREAM_UNAVAILABLE),
    "failed, inside a success": (
        refused(200, "", "The provider did not answer"),
        Reason.UPSTREAM_UNAVAILABLE,
    ),
    "busy, inside a stream": (refused(200, "", BUSY), Reason.UPSTREAM_UNAVAILABLE),
}


@pytest.mark.parametrize(("error", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_told_as_what_it_is(error, reason):
    assert to_service_error(error, "gpt-4o").reason is reason


FAILURES = {
    "no connection": (UpstreamUnavailable("x", sent=False), Reason.UPSTREAM_UNAVAILABLE, True),
    "broke after sending": (UpstreamUnavailable("x"), Reason.UPSTREAM_UNAVAILABLE, False),
    "nonsense": (UpstreamMalformed("x"), Reason.UPSTREAM_PROTOCOL_ERROR, False),
    "too slow": (UpstreamTimeout("x"), Reason.UPSTREAM_TIMEOUT, False),
    "stalled": (UpstreamStalled("x"), Reason.UPSTREAM_STALLED, False),
    "truncated": (UpstreamTruncated("x"), Reason.UPSTREAM_TRUNCATED, False),
    "empty": (UpstreamEmpty("x"), Reason.UPSTREAM_EMPTY, False),
    "JSON 500": (refused(500, "X"), Reason.UPSTREAM_UNAVAILABLE, True),
    "JSON 503": (refused(503, "X"), Reason.UPSTREAM_UNAVAILABLE, True),
    "JSON 502": (refused(502, "X"), Reason.UPSTREAM_UNAVAILABLE, False),
    "vendor is down": (
        refused(400, "EXTERNAL_API_RESPONSE_WITH_ERROR", BUSY, inner_status=503),
        Reason.UPSTREAM_UNAVAILABLE,
        True,
    ),
    "page under 503": (refused(503, is_json=False), Reason.UPSTREAM_UNAVAILABLE, False),
    "failed inside a success": (refused(200, "X"), Reason.UPSTREAM_UNAVAILABLE, False),
    "no credits": (refused(406), Reason.QUOTA_EXHAUSTED, False),
    "rate limit": (refused(429), Reason.RATE_LIMITED, True),
}


@pytest.mark.parametrize(("error", "reason", "retry"), FAILURES.values(), ids=FAILURES)
def test_a_retry_is_offered_only_where_nothing_can_have_been_billed(error, reason, retry):
    failure = to_service_error(error, "gpt-4o")

    assert failure.reason is reason
    assert (failure.retry_after is not None) is retry


def test_the_providers_wait_is_handed_on():
    assert to_service_error(refused(429, retry_after=26.0), "m").retry_after == 26.0
    assert to_service_error(refused(500, "X"), "m").retry_after == RETRY_SECONDS


def test_the_missing_model_is_the_one_that_was_asked_for():
    failure = to_service_error(refused(400, "UNSUPPORTED_MODEL", "Model inner is not"), "alias")

    assert "`alias`" in failure.message
    assert failure.metadata == {
        "model": "alias",
        "upstream_code": "UNSUPPORTED_MODEL",
        "upstream_status": "400",
    }


def test_an_overlong_conversation_names_the_field():
    failure = to_service_error(refused(400, "", "maximum context length is 1"), "m")

    assert failure.param == "messages"
    assert failure.code == "context_length_exceeded"
    assert "maximum context length" in failure.message


@pytest.mark.parametrize(
    "message",
    [
        "the Secret Team only has 35 credits",
        "https://s3.us-east-1.amazonaws.com/asset.1min.ai/x",
        "<html><h1>502</h1></html>",
        '{"request": {"url": "/inner"}}',
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 406, 413, 429, 500, 504])
def test_nothing_that_the_provider_writes_reaches_the_caller(status, message):
    failure = to_service_error(refused(status, message, message), "m")

    shown = f"{failure.message} {dict(failure.metadata)} {failure.violations}"
    assert not any(word in shown for word in ("Team", "amazonaws", "<h", "inner"))
