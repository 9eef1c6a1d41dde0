"""What a caller learns when the provider fails: the one place that turns its errors into ours.

The provider's texts may hold addresses, names of teams, pages and parts of the request, so none is
handed on. Its error code and status are, as metadata, where they are plain words and numbers.

A retry is called safe only where the provider cannot have charged for the call.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.errors import Reason, ServiceError, Violation
from service.upstream.errors import (
    UpstreamEmpty,
    UpstreamError,
    UpstreamMalformed,
    UpstreamRefused,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTruncated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY_SECONDS: Final = 3.0
"""The wait that absorbs most of the provider's passing failures."""

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_KEY: Final = re.compile(r"api[ _-]?key", re.IGNORECASE)
_MODEL: Final = re.compile(r"\bmodel\b.*\bnot supported\b|\binvalid model\b", re.IGNORECASE)
_MODERATION: Final = re.compile(
    r"moderation|safety system|content[_ ]?(policy|filter|management)", re.IGNORECASE
)
_CONTEXT: Final = re.compile(
    r"context[_ ]length|context window|prompt is too long|too many (input )?tokens", re.IGNORECASE
)
_VALUE: Final = re.compile(r"invalid value.*supported values", re.IGNORECASE | re.DOTALL)

_TIMEOUTS: Final = frozenset({408, 504, 524})
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_LARGE: Final = 413
_TOO_MANY: Final = 429
_SERVER: Final = 500

_MESSAGES: Final = {
    Reason.INVALID_API_KEY: "1min.ai refuses the API key: it is wrong, blocked or deleted.",
    Reason.PERMISSION_DENIED: "1min.ai does not allow this with the API key.",
    Reason.QUOTA_EXHAUSTED: (
        "You exceeded your current quota: the credits of the 1min.ai account are used up."
    ),
    Reason.RATE_LIMITED: "Rate limit reached at 1min.ai for this API key. Please try again later.",
    Reason.CONTENT_REJECTED: "The model's vendor refuses the content of the conversation.",
    Reason.CONTEXT_LENGTH_EXCEEDED: (
        "This model's maximum context length is exceeded. Please reduce the length of the messages."
    ),
    Reason.PAYLOAD_TOO_LARGE: "The conversation is larger than 1min.ai accepts.",
    Reason.UPSTREAM_REJECTED: "1min.ai refused the request that was made of this call.",
    Reason.UPSTREAM_UNAVAILABLE: "1min.ai, or the model's vendor behind it, failed or is busy.",
    Reason.UPSTREAM_PROTOCOL_ERROR: "1min.ai answered something that cannot be understood.",
    Reason.UPSTREAM_TIMEOUT: "1min.ai did not answer in time.",
    Reason.UPSTREAM_STALLED: "The answer stopped coming from 1min.ai. It is not complete.",
    Reason.UPSTREAM_TRUNCATED: "The answer broke off at 1min.ai. It is not complete.",
    Reason.UPSTREAM_EMPTY: "1min.ai gave an answer without a text.",
}

_BY_TYPE: Final[dict[type[UpstreamError], Reason]] = {
    UpstreamMalformed: Reason.UPSTREAM_PROTOCOL_ERROR,
    UpstreamTimeout: Reason.UPSTREAM_TIMEOUT,
    UpstreamStalled: Reason.UPSTREAM_STALLED,
    UpstreamTruncated: Reason.UPSTREAM_TRUNCATED,
    UpstreamEmpty: Reason.UPSTREAM_EMPTY,
}


def _is_our_fault(error: UpstreamRefused) -> bool:
    """Whether the provider found fault with the request, rather than failed."""
    if error.code == "EXTERNAL_API_RESPONSE_WITH_ERROR":
        return error.inner_status is not None and error.inner_status < _SERVER
    if error.code == "OPEN_AI_UNEXPECTED_ERROR":
        return _says(_VALUE, error)
    return error.is_json and 300 <= error.status < _SERVER  # noqa: PLR2004  # the 3xx and 4xx


def _says(pattern: re.Pattern[str], error: UpstreamRefused) -> bool:
    return bool(pattern.search(error.code) or pattern.search(error.message))


_RULES: Final[tuple[tuple[Reason, Callable[[UpstreamRefused], bool]], ...]] = (
    (
        Reason.QUOTA_EXHAUSTED,
        lambda error: error.code == "INSUFFICIENT_CREDITS" or error.status in (402, 406),
    ),
    (
        Reason.INVALID_API_KEY,
        lambda error: (
            error.status == _UNAUTHORIZED
            or (error.status in (200, _FORBIDDEN) and error.is_json and _says(_KEY, error))
        ),
    ),
    (
        Reason.PERMISSION_DENIED,
        lambda error: error.status == _FORBIDDEN and error.is_json,
    ),
    (
        Reason.RATE_LIMITED,
        lambda error: (
            _TOO_MANY in (error.status, error.inner_status) or error.code == "RATE_LIMITED"
        ),
    ),
    (
        Reason.MODEL_NOT_FOUND,
        lambda error: error.code == "UNSUPPORTED_MODEL" or _says(_MODEL, error),
    ),
    (Reason.CONTENT_REJECTED, lambda error: _says(_MODERATION, error)),
    (Reason.CONTEXT_LENGTH_EXCEEDED, lambda error: _says(_CONTEXT, error)),
    (Reason.PAYLOAD_TOO_LARGE, lambda error: error.status == _TOO_LARGE),
    (Reason.UPSTREAM_TIMEOUT, lambda error: error.status in _TIMEOUTS),
    (Reason.UPSTREAM_REJECTED, _is_our_fault),
)
"""The first rule that holds says what a refusal means; none: the provider failed."""


def to_service_error(error: UpstreamError, model: str) -> ServiceError:
    """Return what the caller learns; `model` is the id that it had asked for."""
    if isinstance(error, UpstreamRefused):
        return _refusal(error, model)
    reason = _BY_TYPE.get(type(error), Reason.UPSTREAM_UNAVAILABLE)
    return ServiceError(
        reason, _MESSAGES[reason], retry_after=None if error.sent else RETRY_SECONDS
    )


def _refusal(error: UpstreamRefused, model: str) -> ServiceError:
    reason = next((reason for reason, holds in _RULES if holds(error)), Reason.UPSTREAM_UNAVAILABLE)
    metadata = {"upstream_status": str(error.status)}
    if _CODE.fullmatch(error.code):
        metadata["upstream_code"] = error.code
    if reason is Reason.MODEL_NOT_FOUND:
        return _model_not_found(model, metadata)
    is_length = reason is Reason.CONTEXT_LENGTH_EXCEEDED
    message = _MESSAGES[reason]
    return ServiceError(
        reason,
        message,
        violations=[Violation("messages", message)] if is_length else (),
        metadata=metadata,
        retry_after=_retry_after(error, reason),
    )


def _model_not_found(model: str, metadata: dict[str, str]) -> ServiceError:
    return ServiceError(
        Reason.MODEL_NOT_FOUND,
        f"The model `{model}` does not exist or you do not have access to it.",
        metadata=metadata | {"model": model},
    )


def _retry_after(error: UpstreamRefused, reason: Reason) -> float | None:
    if reason is Reason.RATE_LIMITED:
        return error.retry_after
    passes = reason is Reason.UPSTREAM_UNAVAILABLE and error.failed_before_it_began
    return RETRY_SECONDS if passes else None
