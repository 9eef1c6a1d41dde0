"""Refusals: every error body the provider, or the CDN in front of it, is known to send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from service.simulator.faults.kinds import Canned, Refusal, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.simulator.chat_request import BodyRefused

_JSON = "application/json; charset=utf-8"
_HTML = "text/html; charset=UTF-8"
_TEXT = "text/plain; charset=UTF-8"


def json_answer(status: int, body: object, **headers: str) -> Canned:
    """Return a JSON answer; underscores in header names stand for hyphens."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Canned(status, _JSON, json.dumps(body, ensure_ascii=False).encode(), named)


def html_answer(status: int, title: str, **headers: str) -> Canned:
    """Return a page such as a proxy makes."""
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>\n"
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Canned(status, _HTML, page.encode(), named)


def flat_error(status: int, code: str, message: str, **more: Any) -> Canned:
    """Return an error in the shape seen live: `{errorCode, message, …}`."""
    return json_answer(status, {"errorCode": code, "message": message, **more})


def documented_error(status: int, code: str, message: str, **more: Any) -> Canned:
    """Return an error in the documented shape: `{success: false, error: {code, message}}`."""
    error = {"code": code, "message": message, **more}
    return json_answer(status, {"success": False, "error": error})


def unsupported_model(model: str) -> Canned:
    """Return the refusal of an unknown or disabled model."""
    return flat_error(400, "UNSUPPORTED_MODEL", unsupported_model_message(model))


def unsupported_model_message(model: str) -> str:
    """Return the provider's wording, used in JSON and in `event: error` alike."""
    return f"Model {model} is not supported"


def body_refused(refused: BodyRefused) -> Canned:
    """Return the refusal of a malformed body; `details` is a JSON string, as upstream."""
    if refused.in_prompt_object:
        code, message = "PROMPT_OBJECT_VALIDATION_FAILED", "Invalid prompt object"
    else:
        code, message = "REQUEST_BODY_VALIDATION_FAILED", "Request body validation failed"
    details = json.dumps([{"field": refused.field, "message": str(refused)}])
    return flat_error(400, code, message, details=details)


UNAUTHORIZED = documented_error(401, "UNAUTHORIZED", "Invalid or missing API key")
NOT_FOUND = json_answer(404, {"message": "Not Found", "statusCode": 404})
TOO_LARGE = html_answer(413, "413 Request Entity Too Large")


def bad_fault(message: str) -> Canned:
    """Return the simulator's own complaint about a fault it does not know."""
    return flat_error(501, "SIMULATOR_BAD_FAULT", message)


def _external(service: str, status: int, data: object) -> Canned:
    inner = {"response": {"status": status, "data": data}, "request": {"method": "post"}}
    return flat_error(
        400,
        "EXTERNAL_API_RESPONSE_WITH_ERROR",
        f"The {service} service is a bit busy right now or has a temporary issue.",
        context={"service": service},
        details=json.dumps(inner),
    )


_EXTERNAL_REFUSED = _external("alibaba", 400, {"code": "InvalidParameter", "message": "Too big."})
_EXTERNAL_BUSY = _external("openai", 503, {"error": {"message": "Overloaded, try again later."}})
_EXTERNAL_MODERATION = _external(
    "openai",
    400,
    {"error": {"code": "moderation_blocked", "message": "Rejected by the safety system."}},
)
_MISSING_FIELD = json.dumps([{"field": "quality", "message": "Field 'quality' is required"}])
_BAD_TITLE = json.dumps([{"field": "title", "message": "title is required"}])
_CREDITS = "The feature requires 105 credits, but the Simulated team only has 35 credits"
_AUDIO_URL = "https://storage.example.org/audios/clip.wav"


def _retry_after_body(argument: str) -> Canned:
    wait = seconds(argument, 26)
    message = f"Too many requests. Please try again after {wait:g} seconds"
    return json_answer(429, {"message": message, "retryAfter": wait})


def _retry_after_header(argument: str) -> Canned:
    return json_answer(429, {"message": "Too many requests"}, Retry_After=argument or "26")


def _redirect(argument: str) -> Canned:
    target = argument or "https://elsewhere.invalid/"
    return Canned(307, _TEXT, b"", (("Location", target),))


def _always(canned: Canned) -> Callable[[str], Canned]:
    return lambda _argument: canned


def _row(name: str, canned: Canned, summary: str) -> Refusal:
    return Refusal(name, f"{canned.status}: {summary}", answer=_always(canned))


REFUSALS = (
    _row("unauthorized-docs", UNAUTHORIZED, "wrong key, documented shape"),
    _row("unauthorized-old", json_answer(401, {"message": "Invalid API Key"}), "wrong key, old"),
    _row(
        "api-key-deleted",
        flat_error(401, "HTTP_EXCEPTION", "API Key has been deleted"),
        "the key was deleted",
    ),
    _row(
        "api-key-not-active",
        flat_error(401, "HTTP_EXCEPTION", "API Key is not active"),
        "the key is blocked",
    ),
    _row(
        "mock-style-401",
        json_answer(
            401, {"error": "Unauthorized", "message": "Invalid API key", "statusCode": 401}
        ),
        "wrong key, generic framework shape",
    ),
    _row(
        "web-session-only",
        flat_error(401, "INVALID_AUTH_TOKEN", "Invalid auth token"),
        "a route that wants a web session",
    ),
    _row(
        "forbidden-json-403",
        flat_error(403, "FORBIDDEN", "This action is not allowed for your role"),
        "the key is good, the action is not allowed",
    ),
    _row("insufficient-credits", flat_error(406, "INSUFFICIENT_CREDITS", _CREDITS), "no credits"),
    _row("payment-required", json_answer(402, {"message": "Payment required"}), "no credits"),
    _row(
        "rate-limited-docs",
        documented_error(429, "RATE_LIMITED", "Too many requests"),
        "rate limit, documented shape",
    ),
    Refusal(
        "rate-limited-retry-after",
        "429: rate limit, the wait in the body",
        "S=26",
        answer=_retry_after_body,
    ),
    Refusal(
        "rate-limited-header",
        "429: rate limit, the wait (seconds or an HTTP date) in `Retry-After`",
        "VALUE=26",
        answer=_retry_after_header,
    ),
    _row(
        "rate-limited-plain",
        json_answer(429, {"error": "too many requests"}),
        "rate limit without any hint",
    ),
    _row(
        "cloudflare-1010",
        Canned(403, _TEXT, b"error code: 1010", (("Server", "cloudflare"),)),
        "the CDN refuses the client",
    ),
    _row(
        "cloudflare-1015",
        Canned(429, _TEXT, b"error code: 1015", (("Server", "cloudflare"), ("Retry-After", "60"))),
        "the CDN's own rate limit",
    ),
    _row(
        "challenge-403",
        html_answer(403, "Just a moment...", cf_mitigated="challenge", Server="cloudflare"),
        "the CDN's challenge page",
    ),
    _row("bad-gateway-502", html_answer(502, "502 Bad Gateway"), "a proxy's page"),
    _row("unavailable-503", html_answer(503, "503 Service Unavailable"), "a proxy's page"),
    _row("gateway-timeout-504", html_answer(504, "504 Gateway Time-out"), "a proxy's page"),
    _row(
        "origin-timeout-522",
        html_answer(522, "522: Connection timed out", Server="cloudflare"),
        "the CDN could not reach the origin",
    ),
    _row(
        "internal-error",
        flat_error(500, "INTERNAL_SERVER_ERROR", "Internal server error"),
        "transient, JSON",
    ),
    _row(
        "unavailable-json-503",
        flat_error(503, "SERVICE_UNAVAILABLE", "Service unavailable"),
        "transient, JSON",
    ),
    _row("empty-500", Canned(500, _TEXT, b""), "no body at all"),
    _row("empty-200", Canned(200, _JSON, b""), "success without a body"),
    _row("ok-but-html", html_answer(200, "1min.AI"), "a page instead of JSON or events"),
    _row("external-api-error", _EXTERNAL_REFUSED, "the model's vendor refused (inner status 400)"),
    _row("external-api-error-busy", _EXTERNAL_BUSY, "the model's vendor is busy (inner 503)"),
    _row("external-api-error-moderation", _EXTERNAL_MODERATION, "the vendor's moderation refused"),
    _row(
        "openai-unexpected-error",
        flat_error(400, "OPEN_AI_UNEXPECTED_ERROR", "OPEN_AI_UNEXPECTED_ERROR"),
        "OpenAI is busy; may be retried",
    ),
    _row(
        "openai-invalid-value",
        flat_error(
            400,
            "OPEN_AI_UNEXPECTED_ERROR",
            "Invalid value: '640x640'. Supported values are: '1024x1024' and 'auto'.",
        ),
        "the same code, but a parameter fault",
    ),
    _row(
        "unsupported-model-chat",
        unsupported_model("no-such-model"),
        "unknown model as JSON, also for streams",
    ),
    _row(
        "unsupported-model-feature",
        flat_error(
            400,
            "UNSUPPORTED_MODEL",
            "Model no-such-model is not supported for feature IMAGE_GENERATOR",
        ),
        "unknown model of a feature",
    ),
    _row(
        "unsupported-feature-type",
        flat_error(400, "UNKNOWN_ERROR", "Unsupported feature type: CHAT_WITH_IMAGE"),
        "a retired request type",
    ),
    _row(
        "invalid-model-old",
        json_answer(400, {"message": "Invalid model no-such-model for AI feature CHAT_WITH_AI!"}),
        "unknown model, old wording",
    ),
    _row(
        "request-body-validation",
        flat_error(
            400,
            "REQUEST_BODY_VALIDATION_FAILED",
            "Request body validation failed",
            details=_BAD_TITLE,
        ),
        "malformed body, seen live",
    ),
    _row(
        "prompt-object-validation",
        documented_error(
            422,
            "PROMPT_OBJECT_VALIDATION_FAILED",
            "Invalid prompt object",
            details=[{"field": "prompt", "message": "prompt must be a string"}],
        ),
        "malformed promptObject, documented shape",
    ),
    _row(
        "prompt-object-validation-flat",
        flat_error(400, "PROMPT_OBJECT_VALIDATION_FAILED", "Invalid prompt object"),
        "malformed promptObject, seen live",
    ),
    _row(
        "invalid-request-docs",
        documented_error(400, "INVALID_REQUEST", "Missing required parameters or invalid format"),
        "malformed body, documented shape",
    ),
    _row(
        "missing-required-fields",
        flat_error(
            400,
            "MISSING_REQUIRED_FIELDS",
            "Missing required fields for gpt-image-1-mini model: quality.",
            details=_MISSING_FIELD,
        ),
        "a parameter of the model is missing",
    ),
    _row(
        "media-analysis-failed",
        json_answer(400, {"message": f"Failed to analyze media file: {_AUDIO_URL}"}),
        "a media file could not be read; the message holds a storage URL",
    ),
    _row("payload-too-large", TOO_LARGE, "the body is over the limit"),
    Refusal("redirect", "307: to another host", "URL=https://elsewhere.invalid/", answer=_redirect),
)
