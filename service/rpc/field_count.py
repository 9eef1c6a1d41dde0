"""How many fields a message has, counted in its bytes before it is parsed.

Two bytes are a message: 16 MiB of them become gigabytes of objects, and take seconds in which the
event loop serves nobody else. The counting stops at its limit.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_FIXED_SIZES: Final = {_I64: 8, _I32: 4}
_VARINT_BYTES: Final = 10


def has_more_fields(body: bytes, descriptor: Descriptor, limit: int) -> bool:
    """Tell whether a message has more than `limit` fields, those of nested messages included.

    Raises:
        DecodeError: It is not well-formed (https://protobuf.dev/programming-guides/encoding), or
            has groups, which the contract has not.
    """
    pending = [(descriptor, 0, len(body))]
    count = 0
    while pending:
        kind, at, end = pending.pop()
        nested = _nested(kind)
        while at < end:
            count += 1
            if count > limit:
                return True
            tag, at = _varint(body, at)
            start, at = _skip(body, at, tag & 7)
            if at > end:
                raise DecodeError("a field is longer than its message")
            if tag & 7 == _LEN and tag >> 3 in nested:
                pending.append((nested[tag >> 3], start, at))
    return False


@cache
def _nested(descriptor: Descriptor) -> dict[int, Descriptor]:
    """Return the messages among the fields, by number."""
    return {
        field.number: field.message_type
        for field in descriptor.fields
        if field.message_type is not None
    }


def _skip(body: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """Return where the value at `at` begins and ends."""
    if wire_type == _VARINT:
        return at, _varint(body, at)[1]
    if wire_type == _LEN:
        size, start = _varint(body, at)
        return start, start + size
    if wire_type in _FIXED_SIZES:
        return at, at + _FIXED_SIZES[wire_type]
    raise DecodeError(f"wire type {wire_type}")


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(at, min(at + _VARINT_BYTES, len(body))):
        byte = body[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the bit that says: more follow
            return value, index + 1
        shift += 7
    raise DecodeError("an endless number")
