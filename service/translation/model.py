"""A model of the provider's list, or of the shipped one, as a `Model` of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeGuard

from google.protobuf.timestamp_pb2 import Timestamp

from onemin.inference.v1 import model_pb2

if TYPE_CHECKING:
    from service.upstream.payloads import ModelEntry

CREATED: Final = int(datetime(2026, 10, 6, tzinfo=UTC).timestamp())
"""The day of the first catalogue, as seconds since the epoch: the `create_time` of every model.

Nobody tells when a model was made. Clients need a number that never changes, so it must not depend
on when, or from which list, a process learnt of the model.
"""

_INT32_MAX: Final = 2**31 - 1


def to_model(entry: ModelEntry) -> model_pb2.Model:
    """Return the contract's view of a chat model; limits that make no sense are left unset."""
    model = model_pb2.Model(
        id=entry.id,
        title=entry.title or entry.id,
        owner=entry.owner,
        create_time=Timestamp(seconds=CREATED),
        capabilities=_capabilities(entry),
    )
    if _is_limit(entry.context_tokens):
        model.max_input_tokens = entry.context_tokens
    if _is_limit(entry.output_tokens):
        model.max_completion_tokens = entry.output_tokens
    return model


def _capabilities(entry: ModelEntry) -> list[model_pb2.ModelCapability.ValueType]:
    capabilities = [model_pb2.MODEL_CAPABILITY_CHAT]
    if entry.vision:
        capabilities.append(model_pb2.MODEL_CAPABILITY_VISION)
    if entry.code:
        capabilities.append(model_pb2.MODEL_CAPABILITY_CODE)
    return capabilities


def _is_limit(tokens: int | None) -> TypeGuard[int]:
    return tokens is not None and 0 < tokens <= _INT32_MAX
