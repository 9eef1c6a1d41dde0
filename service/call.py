"""`Call`: what a call carries besides its request, and the only context there is.

A facade builds it from headers or metadata, before the body is read; nobody else does. It is passed
explicitly down to the provider's client.
"""

from __future__ import annotations

import asyncio
import enum
import re
import secrets
from typing import Final

import msgspec

from service.errors import Reason, ServiceError

CREDENTIAL_LIMIT: Final = 512
"""Characters of a key; the provider's own have fewer than 100."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CREDENTIAL: Final = re.compile(rf"[\x21-\x7e]{{1,{CREDENTIAL_LIMIT}}}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


class Protocol(enum.StrEnum):
    """The door through which a call came."""

    HTTP = "http"
    GRPC = "grpc"


class Call(msgspec.Struct, frozen=True):
    """One call.

    Attributes:
        request_id: Names the call in logs, answers and errors; safe to echo.
        credential: The caller's own key, form checked, never shown by `repr`.
        protocol: The door it came through.
        deadline: The caller's own deadline on the clock of the event loop, or None.
        traceparent: The W3C trace context, or None. It goes into logs, not to the provider.
    """

    request_id: str
    credential: str
    protocol: Protocol
    deadline: float | None = None
    traceparent: str | None = None

    def __repr__(self) -> str:
        return f"Call(request_id={self.request_id!r}, protocol={self.protocol!r})"

    def remaining(self) -> float | None:
        """Return the seconds until the caller's deadline, 0 if it has passed, None without one."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    @property
    def trace_id(self) -> str | None:
        """The 32 hex digits of the trace that the call belongs to."""
        match = _TRACEPARENT.fullmatch(self.traceparent) if self.traceparent else None
        return match[1] if match else None


def request_id_from(value: str | None) -> str:
    """Return the caller's request id if it is safe to echo, else a new one."""
    if value is not None and _REQUEST_ID.fullmatch(value):
        return value
    return f"req_{secrets.token_hex(16)}"


def credential_from(authorization: str | None) -> str:
    """Return the key of an `Authorization: Bearer KEY` value.

    Only the form is checked: whether a key is right only the provider knows.

    Raises:
        ServiceError: `MISSING_API_KEY` without one, `INVALID_API_KEY` if it is malformed.
    """
    scheme, _, key = (authorization or "").strip().partition(" ")
    key = key.strip()
    if not scheme or (scheme.lower() == "bearer" and not key):
        raise ServiceError(
            Reason.MISSING_API_KEY,
            "You didn't provide an API key. You need to provide your 1min.ai API key in an "
            "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    if scheme.lower() != "bearer" or not _CREDENTIAL.fullmatch(key):
        raise ServiceError(
            Reason.INVALID_API_KEY,
            "The Authorization header is malformed. Expected: Authorization: Bearer YOUR_KEY.",
        )
    return key


def traceparent_from(value: str | None) -> str | None:
    """Return a W3C `traceparent` if it is well-formed (https://www.w3.org/TR/trace-context/)."""
    return value if value is not None and _TRACEPARENT.fullmatch(value) else None
