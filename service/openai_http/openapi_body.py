"""The JSON Schema of the chat request: the types of `schema`, the rules of the other modules.

The numbers and words are those of `messages` and `parameters`, not copies. The schema says what is
served. A field that would be refused is described by the values that mean "not given", so that a
body that fits the schema is a request that is accepted.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from service.openai_http import parameters
from service.openai_http.decode import MODEL_LIMIT
from service.openai_http.messages import MESSAGES_LIMIT, NAME_LIMIT, PARTS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema: TypeAlias = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_TURNS: Final = {
    "Turn": (("system", "developer", "user"), ("content",), ("name",)),
    "AssistantTurn": (("assistant",), (), ("name", "refusal", "tool_calls", "function_call")),
    "ToolTurn": (("tool",), ("content", "tool_call_id"), ()),
    "FunctionTurn": (("function",), ("name",), ()),
}
"""Kinds of messages: their roles, what they cannot lack beside the role, and what else they have.
They all have a content."""


def refine(schemas: dict[str, Schema]) -> None:
    """Add the rules to the schemas of `ChatBody` and its parts, and a schema for each kind of turn.

    Args:
        schemas: What msgspec makes of the structs, by name.
    """
    message = schemas.pop("Message")
    unread = _inlined(message["properties"], schemas)
    part = schemas["ContentPart"]["properties"]
    schemas["ContentPart"] = _part("text", part)
    schemas["RefusalPart"] = _part("refusal", part)
    schemas["ToolCall"] = {"anyOf": list(_tool_calls(schemas["ToolCall"]))}
    for name in ("FunctionCall", "CustomCall"):
        schemas[name]["properties"]["name"] = {"type": "string", "maxLength": NAME_LIMIT}
        schemas[name]["required"] = ["name"]
    for name, (roles, required, optional) in _TURNS.items():
        schemas[name] = _turn(message["properties"], roles, required, optional)
        # What a turn of this role does not have is not read, but its type is checked.
        schemas[name]["properties"] = {**unread, **schemas[name]["properties"]}
    schemas["ResponseFormat"].update(
        properties={"type": {"type": "string", "const": "text"}}, required=["type"]
    )
    _word(schemas["WebSearchOptions"], "search_context_size", parameters.SEARCH_SIZES)
    _refine_body(schemas["ChatBody"])


def _refine_body(body: Schema) -> None:
    fields = body["properties"]
    for name, low, high in (*parameters.DECIMALS, *parameters.INTEGERS):
        _given(fields[name]).update(minimum=low, maximum=high)
    for name, words in parameters.WORDS:
        _word(body, name, words)
    fields["model"] = {"type": "string", "minLength": 1, "maxLength": MODEL_LIMIT}
    fields["messages"] = {
        "type": "array",
        "items": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in _TURNS]},
        "minItems": 1,
        "maxItems": MESSAGES_LIMIT,
    }
    body["required"] = ["model", "messages"]
    _refine_texts(fields)
    _refine_refused(fields)
    # Options of a stream need a stream.
    body["anyOf"] = [
        {"properties": {"stream_options": {"type": "null"}}},
        {"properties": {"stream": {"const": True}}, "required": ["stream"]},
    ]


def _refine_texts(fields: Schema) -> None:
    stop = {"type": "string", "minLength": 1, "maxLength": parameters.STOP_LIMIT}
    stops = {"type": "array", "items": stop, "maxItems": parameters.STOPS_LIMIT}
    fields["stop"]["anyOf"] = [stop, stops, {"type": "null"}]
    _given(fields["safety_identifier"])["maxLength"] = parameters.IDENTIFIER_LIMIT
    _given(fields["metadata"]).update(
        propertyNames={"maxLength": parameters.METADATA_KEY_LIMIT},
        additionalProperties={"type": "string", "maxLength": parameters.METADATA_VALUE_LIMIT},
        maxProperties=parameters.METADATA_LIMIT,
    )
    bias = {"type": "number", "minimum": -parameters.BIAS_LIMIT, "maximum": parameters.BIAS_LIMIT}
    _given(fields["logit_bias"])["additionalProperties"] = bias


def _refine_refused(fields: Schema) -> None:
    for name in ("tools", "functions"):
        _given(fields[name])["maxItems"] = 0
    for name in ("tool_choice", "function_call"):
        fields[name]["anyOf"] = [{"type": "string", "const": "none"}, {"type": "null"}]
    for name in ("audio", "top_logprobs"):
        fields[name] = {"type": "null"}
    _given(fields["n"]).update(minimum=1, maximum=1)
    _given(fields["logprobs"])["const"] = False
    _given(fields["modalities"])["items"] = {"type": "string", "const": "text"}


def _turn(
    known: Schema, roles: tuple[str, ...], required: tuple[str, ...], optional: tuple[str, ...]
) -> Schema:
    kinds = ("ContentPart", "RefusalPart") if "refusal" in optional else ("ContentPart",)
    parts = {
        "type": "array",
        "items": {"anyOf": [{"$ref": f"#/components/schemas/{kind}"} for kind in kinds]},
        "maxItems": PARTS_LIMIT,
    }
    fields = {name: deepcopy(known[name]) for name in ("content", *required, *optional)}
    fields["content"]["anyOf"] = [_TEXT, parts, {"type": "null"}]
    for name in fields.keys() & {"name", "tool_call_id"}:
        _given(fields[name])["maxLength"] = NAME_LIMIT
    for name in required:
        fields[name]["anyOf"].remove({"type": "null"})
    fields["role"] = {"type": "string", "enum": list(roles)}
    return {"type": "object", "properties": fields, "required": ["role", *required]}


def _part(kind: str, known: Schema) -> Schema:
    fields = {**known, "type": {"type": "string", "const": kind}, kind: _TEXT}
    return {"type": "object", "properties": fields, "required": ["type", kind]}


def _inlined(schema: Any, schemas: dict[str, Schema]) -> Any:
    """Return a copy that refers to nothing, with what it refers to as it is now."""
    if isinstance(schema, list):
        return [_inlined(each, schemas) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    return {key: _inlined(value, schemas) for key, value in schema.items()}


def _tool_calls(call: Schema) -> Iterator[Schema]:
    for kind in ("function", "custom"):
        one = deepcopy(call)
        one["properties"][kind]["anyOf"].remove({"type": "null"})
        one["required"] = [kind]
        yield one


def _word(parent: Schema, name: str, words: tuple[str, ...]) -> None:
    _given(parent["properties"][name])["enum"] = list(words)


def _given(field: Schema) -> Schema:
    """Return the schema of a field that is given; the other one is null."""
    given: Schema = next(each for each in field["anyOf"] if each != {"type": "null"})
    return given
