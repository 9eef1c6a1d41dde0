"""`/openapi.json`: what the door takes and gives, made from its routes, structs and error table.

https://spec.openapis.org/oas/v3.1.0. A path without an entry in `_OPERATIONS`, or an entry without
a path, fails at the start.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from service.errors import TABLE, Reason
from service.openai_http.objects import (
    ChatCompletion,
    ChatCompletionChunk,
    ErrorAnswer,
    Model,
    ModelList,
)
from service.openai_http.openapi_body import Schema, refine
from service.openai_http.schema import ChatBody

if TYPE_CHECKING:
    from collections.abc import Iterable

_STRUCTS: Final = (ChatBody, ChatCompletion, ChatCompletionChunk, Model, ModelList, ErrorAnswer)
_REF: Final = "#/components/schemas/{name}"

_BY_THE_SERVER: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
)
"""Answers to what is no HTTP request, comes too slowly, or has too large a head."""

_NOT_HERE: Final = frozenset({Reason.UNKNOWN_URL, Reason.METHOD_NOT_SUPPORTED})
_OF_A_BODY: Final = frozenset(
    {Reason.INVALID_JSON, Reason.PAYLOAD_TOO_LARGE, Reason.UNSUPPORTED_CONTENT_TYPE}
)
_OF_CHAT: Final = frozenset(Reason) - _NOT_HERE
_OF_MODELS: Final = _OF_CHAT - _OF_A_BODY


def document(paths: Iterable[str], version: str) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        paths: The paths of the routes, parameters as Starlette writes them (`{id:path}`).
        version: That of the service.

    Raises:
        ValueError: These are not the paths that are described here.
    """
    operations = _operations()
    if set(paths) != set(operations):
        raise ValueError("routes and operations differ")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "onemin-gateway",
            "version": version,
            "description": "1min.ai as an OpenAI-compatible API.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": {path.replace(":path", ""): each for path, each in operations.items()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Schema]:
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=_REF)
    refine(schemas)
    return schemas


def _operations() -> dict[str, Any]:
    return {
        "/v1/chat/completions": {"post": _chat()},
        "/v1/models": {
            "get": _keyed("listModels", "List all models.", _json(ModelList), _OF_MODELS)
        },
        "/v1/models/{model_id:path}": {
            "parameters": [
                {
                    "name": "model_id",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string", "minLength": 1},
                }
            ],
            "get": _keyed("getModel", "Describe one model.", _json(Model), _OF_MODELS),
        },
        "/health": {"get": _open("getHealth", "Tell that the process lives.")},
        "/": {"get": _open("getAbout", "Tell what this is.")},
        "/openapi.json": {"get": _open("getOpenapi", "Return this document.")},
    }


def _chat() -> Schema:
    # OpenAPI 3.1 has no words for the events of a stream: they are told to people.
    content = {**_json(ChatCompletion), "text/event-stream": {}}
    summary = "Answer a conversation, whole or as a stream."
    operation = _keyed("createChatCompletion", summary, content, _OF_CHAT)
    operation["description"] = (
        "With `stream` the answer is server-sent events whose `data` is a `ChatCompletionChunk`, "
        "and then `[DONE]`. A stream that breaks off ends with an `ErrorAnswer` instead."
    )
    operation["requestBody"] = {"required": True, "content": _json(ChatBody)}
    return operation


def _keyed(name: str, summary: str, content: Schema, reasons: frozenset[Reason]) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "security": [{"key": []}],
        "responses": {"200": {"description": "The answer.", "content": content}}
        | _failures(reasons),
    }


def _open(name: str, summary: str) -> Schema:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": "The answer.", "content": content}}
        | _failures(frozenset()),
    }


def _failures(reasons: frozenset[Reason]) -> dict[str, Schema]:
    """Return the failures by status, each with the codes that it may have."""
    codes: dict[int, set[str]] = {status: set() for status in _BY_THE_SERVER}
    for reason in reasons:
        row = TABLE[reason]
        codes.setdefault(row.http_status, set()).update({row.code} if row.code else ())
    return {str(status): _failure(status, codes[status]) for status in sorted(codes)}


def _failure(status: int, codes: set[str]) -> Schema:
    told = f" Codes: {', '.join(sorted(codes))}." if codes else ""
    description = f"{HTTPStatus(status).phrase}.{told}"
    return {"description": description, "content": _json(ErrorAnswer)}


def _json(struct: type[msgspec.Struct]) -> Schema:
    return {"application/json": {"schema": {"$ref": _REF.format(name=struct.__name__)}}}
