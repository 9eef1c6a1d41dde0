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
            `INVALID_FIELD` for a value of the wrong type.
    """
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
