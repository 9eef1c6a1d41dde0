"""Reading and checking the body of `POST /api/chat-with-ai`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MAX_SITES = 10
"""Clients ask for 1 to 10 sites; the provider's default is 3."""

_DEFAULT_SITES = 3

# Accepted by the provider in 2026, beside the documented name.
_TYPES = frozenset({"UNIFY_CHAT_WITH_AI", "CHAT_WITH_IMAGE", "CHAT"})


class BodyRefused(Exception):
    """The body is not a chat request: a field of it is missing or has the wrong type.

    `in_prompt_object` tells which of the provider's two validation codes applies.
    """

    def __init__(self, field: str, rule: str, *, in_prompt_object: bool = False) -> None:
        super().__init__(f"{field} {rule}")
        self.field = field
        self.in_prompt_object = in_prompt_object


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked request. `sites` is 0 when web search was not asked for."""

    model: str
    type: str
    prompt: str
    prompt_object: dict[str, Any]
    sites: int


def read_document(body: bytes) -> object:
    """Parse a body as JSON; None when it is not JSON, which no valid body is either."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read_model(document: object) -> str:
    """Return the model id, which the provider checks before anything else of the body.

    Raises:
        BodyRefused: it is missing or not a string.
    """
    model = field(document, "model")
    if not isinstance(model, str) or not model:
        raise BodyRefused("model", "must be a string")
    return model


def read_prompt(document: object) -> str:
    """Return the prompt of a body that may be malformed; empty when there is none."""
    prompt = field(document, "promptObject", "prompt")
    return prompt if isinstance(prompt, str) else ""


def read_chat(document: object) -> ChatRequest:
    """Check a parsed body and return it.

    Raises:
        BodyRefused: a field is missing or has the wrong type.
    """
    model = read_model(document)
    kind = field(document, "type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise BodyRefused("type", "must be UNIFY_CHAT_WITH_AI")
    prompt_object = field(document, "promptObject")
    if not isinstance(prompt_object, dict):
        raise BodyRefused("promptObject", "must be an object")
    prompt = prompt_object.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise BodyRefused("prompt", "must be a string", in_prompt_object=True)
    _check_attachments(prompt_object)
    return ChatRequest(model, kind, prompt, prompt_object, _read_sites(prompt_object))


def field(document: object, *path: str) -> object:
    """Return what lies at `path` in nested objects, or None."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _read_sites(prompt_object: dict[str, Any]) -> int:
    web_search = field(prompt_object, "settings", "webSearchSettings", "webSearch")
    if web_search is not None and not isinstance(web_search, bool):
        raise BodyRefused("webSearch", "must be a boolean", in_prompt_object=True)
    sites = field(prompt_object, "settings", "webSearchSettings", "numOfSite")
    if sites is None:
        sites = _DEFAULT_SITES
    if not isinstance(sites, int) or isinstance(sites, bool) or sites < 1:
        raise BodyRefused("numOfSite", "must be a positive integer", in_prompt_object=True)
    return min(sites, MAX_SITES) if web_search else 0


def _check_attachments(prompt_object: dict[str, Any]) -> None:
    for name in ("images", "files"):
        values = field(prompt_object, "attachments", name)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise BodyRefused(name, "must be an array of strings", in_prompt_object=True)
