"""Metadata to `Call` and back.

The hop between two processes carries an allow-list, never what a caller sent: gRPC refuses a key
with a capital or a value outside printable ASCII by raising from the call itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from service.call import Call, Protocol, credential_from, request_id_from, traceparent_from
from service.errors import Reason, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

Metadata: TypeAlias = "Iterable[tuple[str, str | bytes]]"

_MODEL_ID_LIMIT: Final = 256


def request_id_in(metadata: Metadata) -> str:
    """Return the caller's `x-request-id` if it is safe to echo and the only one, else a new one."""
    values = _values(metadata, "x-request-id")
    return request_id_from(values[0] if len(values) == 1 else None)


def call_from(metadata: Metadata, request_id: str, time_remaining: float | None) -> Call:
    """Return the call that `metadata` describes; needs a running event loop.

    Args:
        metadata: What the caller sent; values may be anything.
        request_id: What `request_id_in` said.
        time_remaining: Seconds until the caller's deadline, or None.

    Raises:
        ServiceError: `MISSING_API_KEY` without a credential, `INVALID_API_KEY` if it is malformed
            or not the only one.
    """
    credentials = _values(metadata, "authorization")
    if len(credentials) > 1:
        raise ServiceError(Reason.INVALID_API_KEY, "There is more than one authorization entry.")
    traceparents = _values(metadata, "traceparent")
    now = asyncio.get_running_loop().time()
    return Call(
        request_id=request_id,
        credential=credential_from(credentials[0] if credentials else None),
        protocol=Protocol.GRPC,
        deadline=None if time_remaining is None else now + time_remaining,
        traceparent=traceparent_from(traceparents[0] if len(traceparents) == 1 else None),
    )


def metadata_from(call: Call) -> tuple[tuple[str, str], ...]:
    """Return what a call takes along to the far side."""
    metadata = [("authorization", f"Bearer {call.credential}"), ("x-request-id", call.request_id)]
    if call.traceparent is not None:
        metadata.append(("traceparent", call.traceparent))
    return tuple(metadata)


def initial_metadata(request_id: str, asked: str, answered: str) -> tuple[tuple[str, str], ...]:
    """Return what an accepted call answers first.

    Args:
        request_id: The id of the call.
        asked: The model that was asked for, empty if none was.
        answered: The model that answers, empty if none does.
    """
    metadata = [("x-request-id", request_id)]
    if asked != answered and _is_model_id(asked):
        metadata.append(("x-onemin-model-substituted", asked))
    return tuple(metadata)


def _is_model_id(text: str) -> bool:
    return 0 < len(text) <= _MODEL_ID_LIMIT and text.isascii() and text.isprintable()


def _values(metadata: Metadata, key: str) -> list[str]:
    return [value for name, value in metadata if name == key and isinstance(value, str)]
