"""`ServiceError` to OpenAI's error object and the headers that its clients obey.

The core names fields as the contract does, `spec.sampling.temperature`; this door as OpenAI does,
`temperature`, in `param` and in the message alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import orjson

from service.errors import Reason, ServiceError

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException

_RETRIED: Final = frozenset({408, 409, 429})
"""Statuses below 500 that OpenAI's SDKs try again by themselves; they do so with all from 500 on."""

_PATH_LIMIT: Final = 200
_SPEC: Final = "spec."
_FIELDS: Final = {
    "parts": "content",
    "sampling": "",
    "stop_sequences": "stop",
    "web_search": "web_search_options",
}


def error_object(error: ServiceError) -> dict[str, object]:
    """Return the error object; all four keys are always there."""
    param = None if error.param is None else openai_path(error.param)
    message = error.message
    if error.param and param:
        message = message.replace(error.param, param)
    return {
        "error": {
            "message": message,
            "type": error.row.type,
            "param": param,
            "code": _code(error),
        }
    }


def _code(error: ServiceError) -> str | None:
    # The ids of protovalidate's rules (`string.min_len`) are no words of OpenAI's.
    return "invalid_value" if error.code and "." in error.code else error.code


def error_json(error: ServiceError) -> bytes:
    """Return the error object as JSON."""
    return orjson.dumps(error_object(error))


def error_headers(error: ServiceError) -> list[tuple[bytes, bytes]]:
    """Return the headers that tell whether and when to try again.

    Without them the SDKs would try 408, 409, 429 and all from 500 on up to three times, and each
    time may be charged.
    """
    status = error.row.http_status
    if error.retry_after is not None:
        seconds = math.ceil(error.retry_after)
        milliseconds = math.ceil(error.retry_after * 1000)
        return [
            (b"retry-after", b"%d" % seconds),
            (b"retry-after-ms", b"%d" % milliseconds),
        ]
    if status in _RETRIED or status >= 500:  # noqa: PLR2004  # the 5xx class
        return [(b"x-should-retry", b"false")]
    return []


def openai_path(field: str) -> str:
    """Return OpenAI's spelling of a field of the contract; its own spellings stay as they are."""
    if field == "id":
        return "model"
    if not field.startswith(_SPEC):
        return field
    parts = []
    for part in field.removeprefix(_SPEC).split("."):
        name, bracket, index = part.partition("[")
        parts.append(f"{_FIELDS.get(name, name)}{bracket}{index}")
    return ".".join(part for part in parts if part)


def routing_error(error: HTTPException, method: str, path: str) -> ServiceError:
    """Return what OpenAI says of a URL or a method that does not exist."""
    shown = path[:_PATH_LIMIT]
    if error.status_code == 405:  # noqa: PLR2004  # Method Not Allowed
        return ServiceError(
            Reason.METHOD_NOT_SUPPORTED,
            f"Not allowed to {method} on {shown}. "
            "(HINT: Perhaps you meant to use a different HTTP method?)",
        )
    return ServiceError(Reason.UNKNOWN_URL, f"Invalid URL ({method} {shown})")
