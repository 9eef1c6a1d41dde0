"""Bytes to a typed body: strict JSON, and OpenAI's words for what is not of the right type.

msgspec parses and checks types in one pass. Its errors name a path and two types
(`Expected `str | array | null`, got `int` - at `$.messages[0].content``), which is all that
OpenAI's `invalid_type` needs.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from service.errors import Reason, ServiceError
from service.openai_http.refusals import invalid_type, out_of_range
from service.openai_http.schema import ChatBody

VALUES_LIMIT: Final = 32_768
"""JSON values of one body: twice what 2048 messages with two text parts need."""

_MARKS: Final = b",[{"
"""Every value of a body but the first has one of these of its own."""

_DECODER: Final = msgspec.json.Decoder(ChatBody)

_WRONG_TYPE: Final = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_PATH: Final = re.compile(r" - at `\$\.([^`]*)`$")

_PHRASES: Final = {
    "array": "an array",
    "bool": "a boolean",
    "float": "a decimal",
    "int": "an integer",
    "null": "null",
    "object": "an object",
    "str": "a string",
}


def parse_chat_body(body: bytes) -> ChatBody:
    """Parse the body of a chat request. Of repeated keys the last one counts.

    Raises:
        ServiceError: `INVALID_JSON` for what is no JSON text in UTF-8 or is nested too deep,
            `PAYLOAD_TOO_LARGE` for too many values, `INVALID_FIELD` for one of the wrong type.
    """
    if _has_too_many_values(body):
        raise ServiceError(
            Reason.PAYLOAD_TOO_LARGE,
            f"The body of your request holds more than {VALUES_LIMIT} JSON values.",
            metadata={"limit": str(VALUES_LIMIT)},
        )
    try:
        # msgspec skips unknown fields without looking at their encoding.
        if not body.isascii():
            body.decode()
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_type(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ServiceError(
            Reason.INVALID_JSON,
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly. The API expects a JSON payload, but what "
            "was sent was not valid JSON.)",
        ) from None


def _has_too_many_values(body: bytes) -> bool:
    """Tell it without parsing: a body of 16 MiB may be five million objects, which take seconds."""
    if len(body) <= VALUES_LIMIT or _count(body, _MARKS) <= VALUES_LIMIT:
        return False
    # Perhaps they are all within texts. What is left of escapes is no quote and no backslash.
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    if _count(bare, b'"') > 4 * VALUES_LIMIT:  # a value may be named: two texts, four quotes
        return True
    return _count(b"".join(bare.split(b'"')[::2]), _MARKS) > VALUES_LIMIT


def _count(text: bytes, characters: bytes) -> int:
    """Count these characters in a time that does not depend on how many there are."""
    return len(text) - len(text.translate(None, characters))


def _wrong_type(text: str) -> ServiceError:
    at = _PATH.search(text)
    types = _WRONG_TYPE.search(text)
    if at is None:
        got = f", but got {_PHRASES[types[2]]}" if types else ""
        return ServiceError(
            Reason.INVALID_JSON, f"The JSON body of your request must be an object{got}."
        )
    # A key of a map is shown as `[...]`: the map itself is the field at fault.
    path = at[1].removesuffix("[...]")
    if types is None:
        return out_of_range(path)
    return invalid_type(path, _expected(types[1]), _PHRASES[types[2]])


def _expected(types: str) -> str:
    phrases = [_PHRASES[name] for name in types.split(" | ") if name != "null"]
    return phrases[0] if len(phrases) == 1 else f"one of {' or '.join(phrases)}"
