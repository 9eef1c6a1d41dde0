"""The provider's live list of models, JSON -> `list[ModelEntry]`. Pure.

https://docs.1min.ai does not describe `GET /models`; the shape is that of the live service, an
object with `models`, or a bare array as older ones answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from service.upstream.errors import UpstreamMalformed
from service.upstream.payloads import ModelEntry

if TYPE_CHECKING:
    from service.upstream.refusals import JsonObject

MAX_ENTRIES: Final = 5000
"""Entries that are looked at; the provider has about 70."""

_ID_LIMIT: Final = 256
_TITLE_LIMIT: Final = 256
_INT32_MAX: Final = 2**31 - 1
_NOTHING: Final[dict[str, Any]] = {}


def models_from(body: bytes) -> list[ModelEntry]:
    """Read the list; entries without a usable id are left out.

    Raises:
        UpstreamMalformed: There is no list in it.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UpstreamMalformed("the list of models is not JSON") from None
    if isinstance(value, dict):
        value = value.get("models")
    if not isinstance(value, list):
        raise UpstreamMalformed("the list of models is not a list")
    return [_entry(entry) for entry in value[:MAX_ENTRIES] if _is_usable(entry)]


def _is_usable(entry: object) -> bool:
    model_id = entry.get("modelId") if isinstance(entry, dict) else None
    return isinstance(model_id, str) and 0 < len(model_id) <= _ID_LIMIT and _is_plain(model_id)


def _is_plain(model_id: str) -> bool:
    return model_id.isascii() and model_id.isprintable() and " " not in model_id


def _entry(entry: JsonObject) -> ModelEntry:
    model_id: str = entry["modelId"]
    limits = _object(entry.get("creditMetadata"))
    return ModelEntry(
        id=model_id,
        title=_text(entry.get("name")) or model_id,
        owner=(_text(entry.get("provider")) or _text(entry.get("group")) or "unknown").lower(),
        active=_text(entry.get("status")).upper() in ("ACTIVE", ""),
        vision=_takes_images(entry.get("modality")),
        code="CODE_GENERATOR" in _list(entry.get("features")),
        context_tokens=_tokens(limits.get("CONTEXT")),
        output_tokens=_tokens(limits.get("MAX_OUTPUT_TOKEN")),
    )


def _takes_images(modality: object) -> bool | None:
    inputs = _object(modality).get("INPUT")
    return "image" in inputs if isinstance(inputs, list) else None


def _tokens(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _INT32_MAX:
        return value
    return None


def _text(value: object) -> str:
    return value[:_TITLE_LIMIT] if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else _NOTHING
