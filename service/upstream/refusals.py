"""The provider's errors in all their shapes -> `UpstreamRefused`. Pure.

Seen in the wild, for one and the same meaning:

    {"errorCode": "C", "message": "M", "details": "<JSON in a string>"}
    {"success": false, "error": {"code": "C", "message": "M"}}
    {"message": "M"}    {"message": "M", "retryAfter": 26}
    {"error": "M"}      {"error": "E", "message": "M", "statusCode": 401}

and pages or plain text from the proxies in front of it.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from service.upstream.errors import UpstreamRefused
from service.upstream.untrusted import as_object, first_text, parsed

if TYPE_CHECKING:
    from service.upstream.untrusted import JsonObject

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds; a longer wait is told as this one."""

_CODE_LIMIT: Final = 128
_MESSAGE_LIMIT: Final = 4096
_NUMBER: Final = re.compile(r"\s*([0-9]{1,16}(?:\.[0-9]{1,9})?)\s*")
_AFTER_SECONDS: Final = re.compile(r"\bafter ([0-9]{1,16}) ?s(?:ec|econds?)?\b", re.IGNORECASE)


def refusal_of_answer(
    status: int, body: bytes, *, reason: str, retry_after: str | None, now: float
) -> UpstreamRefused:
    """Return the refusal that an answer with a 4xx or 5xx status is.

    Args:
        status: The HTTP status.
        body: The body or its begin; whatever it is, it is not a reason to fail.
        reason: The reason phrase, for bodies without a text.
        retry_after: The header `Retry-After`, seconds or an HTTP date.
        now: Seconds since the epoch, to read such a date.
    """
    value = parsed(body)
    wait = _wait_in_header(retry_after, now)
    if not isinstance(value, dict):
        return UpstreamRefused(
            status=status, code="", message=reason, retry_after=wait, is_json=False
        )
    return refusal_of_object(value, status=status, reason=reason, retry_after=wait)


def refusal_of_object(
    value: JsonObject, *, status: int = 200, reason: str = "", retry_after: float | None = None
) -> UpstreamRefused:
    """Return the refusal that a JSON object describes, in whichever of the shapes."""
    error = value.get("error")
    inner = as_object(error)
    message = first_text(value.get("message"), inner.get("message"), error, reason)
    if retry_after is None:
        retry_after = _wait_in_body(value, inner, message)
    code = first_text(value.get("errorCode"), inner.get("code"), value.get("code"))
    vendor = _vendor_answer(value.get("details") or inner.get("details"))
    return UpstreamRefused(
        status=status,
        code=code[:_CODE_LIMIT],
        message=f"{message} {_vendor_words(vendor)}".strip()[:_MESSAGE_LIMIT],
        inner_status=_vendor_status(vendor),
        retry_after=retry_after,
    )


def is_error(value: JsonObject) -> bool:
    """Tell whether an object that is no record is an error: one with a bare message is not."""
    return bool(value.get("errorCode") or value.get("error")) or value.get("success") is False


def _vendor_answer(details: object) -> JsonObject:
    """Return what the model's vendor answered to the provider, as `details` has it."""
    if isinstance(details, str):
        details = parsed(details)
    return as_object(as_object(details).get("response"))


def _vendor_status(answer: JsonObject) -> int | None:
    status = answer.get("status")
    if isinstance(status, int) and 100 <= status <= 599:  # noqa: PLR2004  # any HTTP status
        return status
    return None


def _vendor_words(answer: JsonObject) -> str:
    """Return the vendor's code and text: the provider's own says "busy" whatever the cause."""
    data = as_object(answer.get("data"))
    error = as_object(data.get("error")) or data
    return f"{first_text(error.get('code'))} {first_text(error.get('message'))}".strip()


def _wait_in_header(value: str | None, now: float) -> float | None:
    """Read https://www.rfc-editor.org/rfc/rfc9110#field.retry-after."""
    if value is None:
        return None
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        wait = parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return _bounded(wait)


def _wait_in_body(value: JsonObject, inner: JsonObject, message: str) -> float | None:
    for hint in (value.get("retryAfter"), inner.get("retryAfter")):
        if (seconds := _seconds(hint)) is not None:
            return seconds
    match = _AFTER_SECONDS.search(message)
    return _seconds(match[1]) if match else None


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(float(value))
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return _bounded(float(match[1])) if match else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
