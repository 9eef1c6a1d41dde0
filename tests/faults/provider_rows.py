"""Everything that goes wrong at the provider, or on the way to it."""

from __future__ import annotations

from tests.faults.matrix import Case, Failure, Row, Whole, provider_row, stream_row

REQUEST = "invalid_request_error"

UNAVAILABLE = Failure("UPSTREAM_UNAVAILABLE", "UNAVAILABLE", 502, "upstream_unavailable")
MALFORMED = Failure("UPSTREAM_PROTOCOL_ERROR", "INTERNAL", 502, "upstream_error")
TRUNCATED = Failure("UPSTREAM_TRUNCATED", "UNAVAILABLE", 502, "upstream_truncated")
EMPTY = Failure("UPSTREAM_EMPTY", "INTERNAL", 502, "upstream_empty")
REJECTED = Failure("UPSTREAM_REJECTED", "INTERNAL", 502, "upstream_rejected")
TIMEOUT = Failure("UPSTREAM_TIMEOUT", "DEADLINE_EXCEEDED", 504, "upstream_timeout")
STALLED = Failure("UPSTREAM_STALLED", "DEADLINE_EXCEEDED", 504, "upstream_stalled")
BAD_KEY = Failure("INVALID_API_KEY", "UNAUTHENTICATED", 401, "invalid_api_key", REQUEST)
FORBIDDEN = Failure("PERMISSION_DENIED", "PERMISSION_DENIED", 403, "permission_denied", REQUEST)
NO_MODEL = Failure("MODEL_NOT_FOUND", "NOT_FOUND", 404, "model_not_found", REQUEST)
CONTENT = Failure("CONTENT_REJECTED", "INVALID_ARGUMENT", 400, "content_policy_violation", REQUEST)
TOO_LARGE = Failure("PAYLOAD_TOO_LARGE", "RESOURCE_EXHAUSTED", 413, "request_too_large", REQUEST)
LIMITED = Failure("RATE_LIMITED", "RESOURCE_EXHAUSTED", 429, "rate_limit_exceeded", "requests")
NO_CREDITS = Failure(
    "QUOTA_EXHAUSTED", "RESOURCE_EXHAUSTED", 429, "insufficient_quota", "insufficient_quota"
)
WHOLE = Whole()
ONCE_MORE = ("server_error", 1)

CONNECTION = [
    provider_row(
        "connection-refused",
        "nobody listens",
        UNAVAILABLE.retry_in(3),
        faults="",
        retries=("connect", 2),
        house="refused",
        is_split_too=True,
    ),
    provider_row(
        "name-not-resolved",
        "the host's name has no address",
        UNAVAILABLE.retry_in(3),
        faults="",
        retries=("connect", 2),
        house="unresolved",
    ),
    provider_row(
        "tls-failure",
        "a certificate that nobody vouches for",
        UNAVAILABLE.retry_in(3),
        faults="",
        retries=("connect", 2),
        house="untrusted",
    ),
    provider_row(
        "connect-time-out",
        "the connection is never made",
        TIMEOUT.retry_in(3),
        faults="",
        house="unconnectable",
    ),
]

SILENCE = [
    Row(
        "no-first-byte",
        "no head: streams have a time-out for it, whole answers only the total one",
        before=Case("[[fault:hang]]", TIMEOUT),
        house="hasty",
        is_split_too=True,
    ),
    Row("no-answer", "never answers", whole=Case("[[fault:hang]]", TIMEOUT), house="short"),
    provider_row(
        "silent-after-head", "a head, then silence", TIMEOUT, faults="[[fault:first-byte:60]]",
        house="hasty",
    ),
    stream_row(
        "stall", "silence midway", STALLED, whole=TIMEOUT, house="hasty", is_split_too=True
    ),
    stream_row(
        "too-long", "an answer, or a stream, without end", TIMEOUT,
        faults="[[fault:endless]] [[fault:slow:0.2]]", whole=TIMEOUT, house="short",
    ),
]  # fmt: skip

BROKEN = [
    provider_row("reset", "TCP reset before the head", UNAVAILABLE, is_split_too=True),
    provider_row("reset-after-head", "TCP reset between head and body", UNAVAILABLE),
    stream_row("reset-midway", "TCP reset midway", TRUNCATED, whole=UNAVAILABLE, is_split_too=True),
    stream_row("close-midway", "closed, the body unfinished", TRUNCATED, whole=UNAVAILABLE),
    stream_row("close-in-event", "closed within an event", TRUNCATED, whole=UNAVAILABLE),
    stream_row("close-in-char", "closed within a UTF-8 character", TRUNCATED, whole=UNAVAILABLE),
    stream_row(
        "clean-close-in-event", "within an event, but HTTP says complete", TRUNCATED,
        whole=MALFORMED,
    ),
    stream_row("no-end", "clean close without `result` and `done`", TRUNCATED, is_split_too=True),
    Row(
        "no-events", "clean close without any event",
        before=Case("[[fault:empty-200]] [[fault:wrong-content-type:text/event-stream]]", TRUNCATED),
    ),
    stream_row("no-result", "`done` without `result`", WHOLE),
    stream_row("no-done", "`result` without `done`", WHOLE),
    stream_row(
        "invalid-json", "the record breaks off within a JSON string", MALFORMED, whole=MALFORMED
    ),
]  # fmt: skip

NONSENSE = [
    provider_row("not-http", "no HTTP at all", MALFORMED, faults="[[raw:not-http]]", house="raw"),
    Row(
        "wrong-content-type", "a good answer of another type",
        whole=Case("[[fault:wrong-content-type]]", WHOLE),
        after=Case("[[fault:wrong-content-type]]", WHOLE),
    ),
    provider_row("ok-but-html", "200 with a page", UNAVAILABLE),
    provider_row("empty-200", "200 without a body", MALFORMED),
    provider_row("empty-500", "500 without a body", UNAVAILABLE),
    stream_row(
        "wrong-types", "numbers where texts belong", MALFORMED, whole=EMPTY, says_text=False
    ),
    stream_row("null-result", "`resultObject` is null", EMPTY, whole=EMPTY, says_text=False),
    stream_row("empty", "a success without a text", EMPTY, whole=EMPTY, says_text=False),
    stream_row("string-result", "`resultObject` is a string", WHOLE, whole=WHOLE),
    stream_row("object-result", "`resultObject` is an object", WHOLE, whole=WHOLE),
    stream_row("bare-result", "an older body", WHOLE, whole=WHOLE),
    stream_row("result-only", "the text is in the record alone", WHOLE),
    stream_row("unknown-event", "an event of an unknown name", WHOLE),
    stream_row("bad-event", "a broken event, none missing", WHOLE),
    stream_row(
        "lost-event", "a broken event in place of one", MALFORMED, faults="[[fault:bad-event:lost]]"
    ),
    stream_row(
        "finish-length", "the model's own limit", Whole(finish_reason="length"),
        whole=Whole(finish_reason="length"),
    ),
    stream_row(
        "event-over-cap", "an event over the cap", MALFORMED,
        faults=f"[[fault:giant-event:{18 << 20}]]", says_text=False,
    ),
    Row("body-over-cap", "a body over the cap",
        whole=Case(f"[[fault:giant-event:{64 << 20}]]", MALFORMED)),
    provider_row(
        "gzip-bomb", "compressed, though nobody asked", MALFORMED, faults="[[fault:gzip-bomb]]"
    ),
    provider_row(
        "redirect", "to another host, which never hears of it", UNAVAILABLE,
        faults="[[fault:redirect:{elsewhere}]]",
    ),
]  # fmt: skip

INSIDE_200 = [
    provider_row("failed-status", "a record FAILED under 200", UNAVAILABLE, is_split_too=True),
    provider_row("failure-status", "a record FAILURE under 200", UNAVAILABLE),
    provider_row("credits-in-result", "no credits, told in the result", NO_CREDITS),
    provider_row("moderation-in-result", "moderation, told in the result", CONTENT),
    *(
        Row(
            name,
            f"`event: error`, {form}",
            before=Case(f"[[fault:{first}]]", outcome),
            after=Case(f"[[fault:{midway}]]", outcome),
            is_split_too=name == "error",
        )
        for name, form, first, midway, outcome in (
            ("error", '`{error: "…"}`', "error-first", "error-midway", UNAVAILABLE),
            ("error-object", "`{error: {…}}`", "error-object", "error-object:midway", NO_CREDITS),
            ("error-message-form", "`{message, errorCode}`", "error-message-form",
             "error-message-form:midway", UNAVAILABLE),
            ("error-plain-text", "plain text", "error-plain-text", "error-plain-text:midway",
             UNAVAILABLE),
        )
    ),
    Row(
        "error-after-progress", "`event: error` after an unknown event",
        before=Case("[[raw:error-after-progress]]", UNAVAILABLE), house="raw",
    ),
]  # fmt: skip

KEYS_AND_CREDITS = [
    provider_row("unauthorized-docs", "401, documented", BAD_KEY, is_split_too=True),
    provider_row("unauthorized-old", "401, old", BAD_KEY),
    provider_row("api-key-deleted", "401, the key was deleted", BAD_KEY),
    provider_row("api-key-not-active", "401, the key is blocked", BAD_KEY),
    provider_row("mock-style-401", "401, generic", BAD_KEY),
    provider_row("web-session-only", "401, wants a web session", BAD_KEY),
    provider_row("forbidden-json-403", "403, not allowed", FORBIDDEN),
    provider_row("payment-required", "402", NO_CREDITS),
    provider_row("insufficient-credits", "406, no credits", NO_CREDITS, is_split_too=True),
]

RATE_LIMITS = [
    provider_row("rate-limited-docs", "429, documented, no hint", LIMITED.retry_in(5)),
    provider_row("rate-limited-plain", "429, no hint", LIMITED.retry_in(5)),
    provider_row(
        "long-wait-in-body", "429, a long wait told in the body", LIMITED.retry_in(45),
        faults="[[fault:rate-limited-retry-after:45]]", is_split_too=True,
    ),
    provider_row(
        "long-wait-in-header", "429, a long wait told in `Retry-After`", LIMITED.retry_in(45),
        faults="[[fault:rate-limited-header:45]]",
    ),
    provider_row(
        "wait-until", "429, `Retry-After` is a date far away", LIMITED.retry_in(3600),
        faults="[[fault:rate-limited-header:Wed, 21 Oct 2099 07:28:00 GMT]]",
    ),
    provider_row(
        "short-wait", "429, a short wait, three times", LIMITED.retry_in(0.1),
        faults="[[fault:rate-limited-retry-after:0.1]]", retries=("rate_limited", 2),
    ),
    Row(
        "short-wait-once", "429, a short wait, once",
        whole=Case("[[fault:flaky:1:rate-limited-retry-after:0.1]]", WHOLE, ("rate_limited", 1)),
        after=Case("[[fault:flaky:1:rate-limited-retry-after:0.1]]", WHOLE, ("rate_limited", 1)),
        is_split_too=True,
    ),
    provider_row("cloudflare-1015", "429, the CDN's own", LIMITED.retry_in(60)),
]  # fmt: skip

REFUSALS = [
    provider_row("unsupported-model-chat", "400, unknown model", NO_MODEL),
    Row(
        "unsupported-model-event", "`event: error`, unknown model",
        before=Case("[[raw:model-event]]", NO_MODEL), house="raw",
    ),
    provider_row("unsupported-model-feature", "400, unknown model of a feature", NO_MODEL),
    provider_row("invalid-model-old", "400, unknown model, old", NO_MODEL),
    provider_row("external-api-error", "400, the vendor refused (inner 400)", REJECTED),
    provider_row(
        "external-api-error-busy", "400, the vendor is busy (inner 503)", UNAVAILABLE.retry_in(3),
        retries=ONCE_MORE,
    ),
    provider_row("external-api-error-moderation", "400, the vendor's moderation", CONTENT),
    provider_row("openai-unexpected-error", "400, OpenAI is busy", UNAVAILABLE),
    provider_row("openai-invalid-value", "400, the same code, a bad parameter", REJECTED),
    provider_row("unsupported-feature-type", "400, a retired type", REJECTED),
    provider_row("request-body-validation", "400, malformed body", REJECTED),
    provider_row("prompt-object-validation", "422, malformed promptObject", REJECTED),
    provider_row("prompt-object-validation-flat", "400, malformed promptObject", REJECTED),
    provider_row("invalid-request-docs", "400, malformed body, documented", REJECTED),
    provider_row("missing-required-fields", "400, a field is missing", REJECTED),
    provider_row("media-analysis-failed", "400, with a storage URL in it", REJECTED),
    provider_row("payload-too-large", "413", TOO_LARGE),
]  # fmt: skip

SERVERS = [
    provider_row("cloudflare-1010", "403, the CDN refuses us", UNAVAILABLE),
    provider_row("challenge-403", "403, the CDN's challenge", UNAVAILABLE),
    provider_row(
        "internal-error", "500, JSON", UNAVAILABLE.retry_in(3), retries=ONCE_MORE, is_split_too=True
    ),
    provider_row("unavailable-json-503", "503, JSON", UNAVAILABLE.retry_in(3), retries=ONCE_MORE),
    Row(
        "internal-error-once", "500, JSON, once",
        whole=Case("[[fault:flaky:1:internal-error]]", WHOLE, ONCE_MORE),
        after=Case("[[fault:flaky:1:internal-error]]", WHOLE, ONCE_MORE),
    ),
    provider_row("unavailable-503", "503, a page", UNAVAILABLE),
    provider_row("bad-gateway-502", "502, a page", UNAVAILABLE),
    provider_row("gateway-timeout-504", "504, a page", TIMEOUT),
    provider_row("origin-timeout-522", "522, a page", UNAVAILABLE),
]  # fmt: skip

PROVIDER_ROWS = [
    *CONNECTION,
    *SILENCE,
    *BROKEN,
    *NONSENSE,
    *INSIDE_200,
    *KEYS_AND_CREDITS,
    *RATE_LIMITS,
    *REFUSALS,
    *SERVERS,
]
