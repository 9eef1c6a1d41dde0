"""The provider's live list of models, JSON -> `list[ModelEntry]`. Pure.

https://docs.1min.ai does not describe `GET /models`; the shape is that of the live service, an
object with `models`, or a bare array as older ones answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.upstream.errors import UpstreamMalformed
from service.upstream.payloads import ModelEntry
from service.upstream.untrusted import as_count, as_object, first_text, parsed

if TYPE_CHECKING:
    from service.upstream.untrusted import JsonObject

MAX_ENTRIES: Final = 5000
"""Entries that are looked at; the provider has about 70."""

_ID_LIMIT: Final = 256
_TITLE_LIMIT: Final = 256


def models_from(body: bytes) -> list[ModelEntry]:
    """Read the list; entries without a usable id are left out.

    Raises:
        UpstreamMalformed: There is no list in it.
    """
    value = parsed(body)
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
    limits = as_object(entry.get("creditMetadata"))
    features = entry.get("features")
    return ModelEntry(
        id=model_id,
        title=first_text(entry.get("name"), model_id)[:_TITLE_LIMIT],
        owner=first_text(entry.get("provider"), entry.get("group"), "unknown")[
            :_TITLE_LIMIT
        ].lower(),
        active=first_text(entry.get("status"), "ACTIVE").upper() == "ACTIVE",
        vision=_takes_images(entry.get("modality")),
        code=isinstance(features, list) and "CODE_GENERATOR" in features,
        # A limit of 0 tokens means that nobody filled it in.
        context_tokens=as_count(limits.get("CONTEXT")) or None,
        output_tokens=as_count(limits.get("MAX_OUTPUT_TOKEN")) or None,
    )


def _takes_images(modality: object) -> bool | None:
    inputs = as_object(modality).get("INPUT")
    return "image" in inputs if isinstance(inputs, list) else None
