"""The one error of the service and the one table that both doors read.

    ServiceError
        reason      what went wrong: a row of TABLE
        message     for the caller: no secrets, at most MESSAGE_LIMIT characters
        violations  the fields at fault, in the door's own spelling
        metadata    what is dynamic in the message, for programs
        retry_after seconds after which a retry is safe, or None: a retry may be billed twice

Only `ServiceError` and `asyncio.CancelledError` cross the port. gRPC codes are plain numbers here,
so that this module needs no gRPC; `service.rpc.status` turns them into the library's own.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOMAIN: Final = "onemin-gateway"
"""The `domain` of every `google.rpc.ErrorInfo`."""

MESSAGE_LIMIT: Final = 1024
"""Characters. A status rides in trailers; clients refuse those of more than 8 KiB
(https://github.com/grpc/grpc/issues/37852)."""


class Reason(enum.StrEnum):
    """What went wrong. All but the HTTP-only ones are values of `ErrorReason` in the protos."""

    @staticmethod
    def _generate_next_value_(name: str, *_: object) -> str:
        return name

    INVALID_FIELD = enum.auto()
    UNSUPPORTED_PARAMETER = enum.auto()
    CONTEXT_LENGTH_EXCEEDED = enum.auto()
    CONTENT_REJECTED = enum.auto()
    MISSING_API_KEY = enum.auto()
    INVALID_API_KEY = enum.auto()
    PERMISSION_DENIED = enum.auto()
    MODEL_NOT_FOUND = enum.auto()
    PAYLOAD_TOO_LARGE = enum.auto()
    RATE_LIMITED = enum.auto()
    QUOTA_EXHAUSTED = enum.auto()
    OVERLOADED = enum.auto()
    SHUTTING_DOWN = enum.auto()
    UPSTREAM_UNAVAILABLE = enum.auto()
    UPSTREAM_PROTOCOL_ERROR = enum.auto()
    UPSTREAM_TIMEOUT = enum.auto()
    UPSTREAM_TRUNCATED = enum.auto()
    UPSTREAM_STALLED = enum.auto()
    UPSTREAM_EMPTY = enum.auto()
    UPSTREAM_REJECTED = enum.auto()
    DEADLINE_EXCEEDED = enum.auto()
    INTERNAL = enum.auto()

    # HTTP only: the gRPC library answers these cases itself.
    INVALID_JSON = enum.auto()
    UNSUPPORTED_CONTENT_TYPE = enum.auto()
    UNKNOWN_URL = enum.auto()
    METHOD_NOT_SUPPORTED = enum.auto()


HTTP_ONLY: Final = frozenset(
    {
        Reason.INVALID_JSON,
        Reason.UNSUPPORTED_CONTENT_TYPE,
        Reason.UNKNOWN_URL,
        Reason.METHOD_NOT_SUPPORTED,
    }
)
"""Reasons that never travel over gRPC."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one reason looks on both doors.

    Attributes:
        grpc_code: A canonical code (https://grpc.io/docs/guides/status-codes/).
        http_status: The status of the HTTP answer.
        type: `error.type` of OpenAI's error object.
        code: `error.code` of it, unless a violated rule names a better one.
        retry_after: Seconds after which a retry is safe, where the cause tells nothing better.
    """

    grpc_code: int
    http_status: int
    type: str
    code: str | None
    retry_after: float | None = None


_INVALID_ARGUMENT: Final = 3
_DEADLINE_EXCEEDED: Final = 4
_NOT_FOUND: Final = 5
_PERMISSION_DENIED: Final = 7
_RESOURCE_EXHAUSTED: Final = 8
_UNIMPLEMENTED: Final = 12
_INTERNAL: Final = 13
_UNAVAILABLE: Final = 14
_UNAUTHENTICATED: Final = 16

_REQUEST: Final = "invalid_request_error"
_SERVER: Final = "server_error"

TABLE: Final[Mapping[Reason, Row]] = MappingProxyType(
    {
        Reason.INVALID_JSON: Row(_INVALID_ARGUMENT, 400, _REQUEST, None),
        Reason.INVALID_FIELD: Row(_INVALID_ARGUMENT, 400, _REQUEST, None),
        Reason.UNSUPPORTED_PARAMETER: Row(
            _INVALID_ARGUMENT, 400, _REQUEST, "unsupported_parameter"
        ),
        Reason.CONTEXT_LENGTH_EXCEEDED: Row(
            _INVALID_ARGUMENT, 400, _REQUEST, "context_length_exceeded"
        ),
        Reason.CONTENT_REJECTED: Row(_INVALID_ARGUMENT, 400, _REQUEST, "content_policy_violation"),
        Reason.MISSING_API_KEY: Row(_UNAUTHENTICATED, 401, _REQUEST, None),
        Reason.INVALID_API_KEY: Row(_UNAUTHENTICATED, 401, _REQUEST, "invalid_api_key"),
        Reason.PERMISSION_DENIED: Row(_PERMISSION_DENIED, 403, _REQUEST, "permission_denied"),
        Reason.MODEL_NOT_FOUND: Row(_NOT_FOUND, 404, _REQUEST, "model_not_found"),
        Reason.UNKNOWN_URL: Row(_UNIMPLEMENTED, 404, _REQUEST, None),
        Reason.METHOD_NOT_SUPPORTED: Row(_UNIMPLEMENTED, 405, _REQUEST, "method_not_supported"),
        Reason.PAYLOAD_TOO_LARGE: Row(_RESOURCE_EXHAUSTED, 413, _REQUEST, "request_too_large"),
        Reason.UNSUPPORTED_CONTENT_TYPE: Row(
            _INVALID_ARGUMENT, 415, _REQUEST, "unsupported_content_type"
        ),
        Reason.RATE_LIMITED: Row(_RESOURCE_EXHAUSTED, 429, "requests", "rate_limit_exceeded", 5.0),
        Reason.QUOTA_EXHAUSTED: Row(
            _RESOURCE_EXHAUSTED, 429, "insufficient_quota", "insufficient_quota"
        ),
        Reason.INTERNAL: Row(_INTERNAL, 500, _SERVER, None),
        Reason.UPSTREAM_UNAVAILABLE: Row(_UNAVAILABLE, 502, _SERVER, "upstream_unavailable"),
        Reason.UPSTREAM_PROTOCOL_ERROR: Row(_INTERNAL, 502, _SERVER, "upstream_error"),
        Reason.UPSTREAM_TRUNCATED: Row(_UNAVAILABLE, 502, _SERVER, "upstream_truncated"),
        Reason.UPSTREAM_EMPTY: Row(_INTERNAL, 502, _SERVER, "upstream_empty"),
        Reason.UPSTREAM_REJECTED: Row(_INTERNAL, 502, _SERVER, "upstream_rejected"),
        Reason.OVERLOADED: Row(_UNAVAILABLE, 503, _SERVER, None, 1.0),
        Reason.SHUTTING_DOWN: Row(_UNAVAILABLE, 503, _SERVER, "shutting_down", 0.0),
        Reason.UPSTREAM_TIMEOUT: Row(_DEADLINE_EXCEEDED, 504, _SERVER, "upstream_timeout"),
        Reason.UPSTREAM_STALLED: Row(_DEADLINE_EXCEEDED, 504, _SERVER, "upstream_stalled"),
        Reason.DEADLINE_EXCEEDED: Row(_DEADLINE_EXCEEDED, 504, _SERVER, "timeout"),
    }
)
"""One row for each reason. Statuses, types and codes are OpenAI's own where OpenAI has them."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that breaks a rule.

    Attributes:
        field: The path of the field in the door's own spelling, `messages[0].role`.
        description: What is wrong, for people.
        rule: What is wrong, for programs, in OpenAI's words (`invalid_type`); None where they
            have none.
    """

    field: str
    description: str
    rule: str | None = None


class ServiceError(Exception):
    """A call that failed for a reason that the caller may know."""

    reason: Reason
    message: str
    violations: tuple[Violation, ...]
    metadata: Mapping[str, str]
    retry_after: float | None

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message[:MESSAGE_LIMIT]
        self.violations = tuple(violations)
        self.metadata = MappingProxyType(dict(metadata or {}))
        self.retry_after = TABLE[reason].retry_after if retry_after is None else retry_after

    @property
    def row(self) -> Row:
        """How this error looks on both doors."""
        return TABLE[self.reason]

    @property
    def param(self) -> str | None:
        """`error.param` of OpenAI's error object."""
        return self.violations[0].field if self.violations else None

    @property
    def code(self) -> str | None:
        """`error.code` of OpenAI's error object."""
        rule = self.violations[0].rule if self.violations else None
        return rule or self.row.code

    @classmethod
    def invalid_field(cls, field: str, description: str, rule: str | None = None) -> ServiceError:
        """Return the refusal of one field."""
        violation = Violation(field, description, rule)
        return cls(Reason.INVALID_FIELD, description, violations=[violation])

    @classmethod
    def internal(cls) -> ServiceError:
        """Return what a caller learns of a bug: nothing."""
        return cls(
            Reason.INTERNAL,
            "The server had an error while processing your request. Sorry about that!",
        )
