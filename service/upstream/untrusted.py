"""Values of JSON whose types nobody promised: each is read as what it should be, or as nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import orjson

JsonObject: TypeAlias = Mapping[str, Any]

INT32_MAX: Final = 2**31 - 1
"""The largest number of tokens that the contract can tell."""

_EMPTY: Final[JsonObject] = {}


def parsed(text: bytes | str) -> Any:
    """Return the JSON value that `text` is; None if it is not JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def as_object(value: object) -> JsonObject:
    """Return an object as it is; an empty one for anything else."""
    return value if isinstance(value, dict) else _EMPTY


def as_count(value: object) -> int | None:
    """Return a whole number from 0 to `INT32_MAX`; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT32_MAX:
        return value
    return None


def first_text(*values: object) -> str:
    """Return the first of them that is a text and not empty; an empty one if none is."""
    return next((value for value in values if isinstance(value, str) and value), "")
