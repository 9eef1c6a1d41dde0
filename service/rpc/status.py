"""`ServiceError` to and from `google.rpc.Status`, both directions.

Every status of ours has an `ErrorInfo` and a `RequestInfo`; `RetryInfo`, `ResourceInfo`,
`QuotaFailure` and `BadRequest` where they apply, each at most once
(https://google.aip.dev/193). An error without an `ErrorInfo` of our domain is foreign: the gRPC
library, a proxy or another program made it, and only its code is believed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2 as details  # type: ignore[import-untyped]  # no py.typed
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no py.typed
from grpc_status import rpc_status  # type: ignore[import-untyped]  # no py.typed

from service.errors import DOMAIN, Reason, ServiceError, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# A status rides in the trailers twice: its text percent-encoded, up to three times the size, and
# all of it in base64. Clients of several languages refuse trailers of more than 8 KiB.
_STATUS_BYTES: Final = 3072
_MESSAGE_BYTES: Final = 1024
_DESCRIPTION_BYTES: Final = 512
_METADATA_BYTES: Final = 512
_NAME_BYTES: Final = 256
_ANY_BYTES: Final = 64  # what packing adds to a detail
_VIOLATIONS: Final = 16

_RETRY_SECONDS: Final = 86400.0
_NANOS: Final = 1_000_000_000

UNREACHABLE: Final = "The inference service cannot be reached."
"""What a caller learns when the far side of a channel is gone."""

_BUG: Final = (Reason.INTERNAL, ServiceError.internal().message)
_LOST: Final = (Reason.UPSTREAM_UNAVAILABLE, UNREACHABLE)
_LATE: Final = (Reason.DEADLINE_EXCEEDED, "The deadline of the call has passed.")

_FOREIGN: Final[Mapping[grpc.StatusCode, tuple[Reason, str]]] = MappingProxyType(
    {
        grpc.StatusCode.UNAVAILABLE: _LOST,
        grpc.StatusCode.CANCELLED: _LOST,  # not by us: a proxy reset the stream
        grpc.StatusCode.DEADLINE_EXCEEDED: _LATE,
    }
)
"""Any other code is this deployment's fault and never the caller's: a mesh that refuses this pod
says PERMISSION_DENIED, a pod of another version UNIMPLEMENTED."""

DetailT = TypeVar("DetailT", bound=Message)


@dataclass(frozen=True, slots=True)
class _GrpcStatus(grpc.Status):
    """What `abort_with_status` takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def to_status(error: ServiceError, request_id: str) -> Status:
    """Return `error` as a status of at most 3 KiB; what does not fit is cut."""
    status = Status(code=error.row.grpc_code, message=_cut(error.message, _MESSAGE_BYTES))
    for detail in _details(error, request_id):
        status.details.add().Pack(detail)
    bad_request = _bad_request(error.violations, _STATUS_BYTES - _ANY_BYTES - status.ByteSize())
    if bad_request.field_violations:
        status.details.add().Pack(bad_request)
    return status


def to_grpc(error: ServiceError, request_id: str) -> grpc.Status:
    """Return what ends a call with `error`: code, text and trailers.

    `grpc-retry-pushback-ms` tells clients of the C core when to try again; -1 means never
    (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
    """
    status = rpc_status.to_status(to_status(error, request_id))
    wait = error.retry_after
    pushback = "-1" if wait is None else str(math.ceil(_bounded(wait) * 1000))
    ours = (("x-request-id", request_id), ("grpc-retry-pushback-ms", pushback))
    return _GrpcStatus(status.code, status.details, (*status.trailing_metadata, *ours))


def from_rpc_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """Return the `ServiceError` that a call over a channel failed with."""
    return rebuilt(error) or foreign(error)


def rebuilt(error: grpc.aio.AioRpcError) -> ServiceError | None:
    """Return the `ServiceError` that the far side raised, or None if the error is foreign."""
    status = _status_of(error)
    info = _detail(status, details.ErrorInfo())
    if info is None or info.domain != DOMAIN or info.reason not in Reason.__members__:
        return None
    bad_request = _detail(status, details.BadRequest()) or details.BadRequest()
    retry = _detail(status, details.RetryInfo())
    return ServiceError(
        Reason[info.reason],
        status.message,
        violations=[
            Violation(violation.field, violation.description, violation.reason.lower() or None)
            for violation in bad_request.field_violations
        ],
        metadata=info.metadata,
        retry_after=retry and retry.retry_delay.seconds + retry.retry_delay.nanos / _NANOS,
    )


def foreign(error: grpc.aio.AioRpcError) -> ServiceError:
    """Return what a caller learns of an error that is not ours: no address and no foreign text.

    None of these says that a retry is safe, because the request may have reached the provider.
    """
    reason, message = _FOREIGN.get(error.code(), _BUG)
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _is_oversize(error.details() or ""):
        reason, message = Reason.PAYLOAD_TOO_LARGE, "The request is too large."
    return ServiceError(reason, message)


def _is_oversize(text: str) -> bool:
    """Whether it is the request, and not the answer, that the library found too large."""
    return "larger than max" in text and text.startswith(("CLIENT: Sent", "SERVER: Received"))


def _details(error: ServiceError, request_id: str) -> Iterator[Message]:
    metadata = _within(_METADATA_BYTES, error.metadata)
    yield details.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    yield details.RequestInfo(request_id=request_id)
    if error.retry_after is not None:
        yield details.RetryInfo(retry_delay=_duration(error.retry_after))
    if error.reason is Reason.MODEL_NOT_FOUND:
        name = _cut(error.metadata.get("model", ""), _NAME_BYTES)
        yield details.ResourceInfo(resource_type="onemin.inference.v1.Model", resource_name=name)
    if error.reason is Reason.QUOTA_EXHAUSTED:
        text = _cut(error.message, _DESCRIPTION_BYTES)
        violation = details.QuotaFailure.Violation(subject="credits", description=text)
        yield details.QuotaFailure(violations=[violation])


def _bad_request(violations: Sequence[Violation], room: int) -> details.BadRequest:
    """Return the first violations, as many as `room` bytes hold."""
    message = details.BadRequest()
    for violation in violations[:_VIOLATIONS]:
        message.field_violations.add(
            field=_cut(violation.field, _NAME_BYTES),
            description=_cut(violation.description, _DESCRIPTION_BYTES),
            reason=_cut((violation.rule or "").upper(), _NAME_BYTES),
        )
        if message.ByteSize() > room:
            del message.field_violations[-1]
            break
    return message


def _within(room: int, metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the first entries, as many as `room` bytes hold."""
    kept: dict[str, str] = {}
    for key, value in metadata.items():
        kept[_cut(key, _NAME_BYTES)] = _cut(value, _NAME_BYTES)
        if sum(len(text.encode()) for item in kept.items() for text in item) > room:
            del kept[_cut(key, _NAME_BYTES)]
            break
    return kept


def _cut(text: str, size: int) -> str:
    """Return the most of `text` that `size` bytes of UTF-8 hold; lone surrogates become `?`."""
    return text.encode(errors="replace")[:size].decode(errors="ignore")


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), _RETRY_SECONDS)


def _duration(seconds: float) -> Duration:
    whole, nanos = divmod(round(_bounded(seconds) * _NANOS), _NANOS)
    return Duration(seconds=whole, nanos=nanos)


def _status_of(error: grpc.aio.AioRpcError) -> Status:
    """Return the status in the trailers, an empty one if there is none that fits the error."""
    try:
        return rpc_status.from_call(error) or Status()
    except (DecodeError, ValueError):  # not a status, or one that contradicts the error
        return Status()


def _detail(status: Status, into: DetailT) -> DetailT | None:
    """Return the first detail of the type of `into`, read into it."""
    try:
        return next((into for detail in status.details if detail.Unpack(into)), None)
    except DecodeError:
        return None
