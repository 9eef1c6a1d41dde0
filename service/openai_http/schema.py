"""The body of `POST /v1/chat/completions` as typed structs: types only, no rules.

Every field may be null, which means "not given": the SDKs serialise an explicit None. Unknown
fields are skipped. What is required, and which values are legal, `messages` and `parameters` say,
because msgspec has one wording for such errors and OpenAI has many.
"""

from __future__ import annotations

from typing import Any

import msgspec


class ContentPart(msgspec.Struct):
    """One piece of a message: `text`, `refusal`, or a kind that is refused by its `type`."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class FunctionCall(msgspec.Struct):
    """A function that the model asked for; `arguments` is a JSON text."""

    name: str | None = None
    arguments: str | None = None


class CustomCall(msgspec.Struct):
    """A custom tool that the model asked for; `input` is free text."""

    name: str | None = None
    input: str | None = None


class ToolCall(msgspec.Struct):
    """One tool call of an earlier assistant message: `function`, or `custom`."""

    id: str | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class Message(msgspec.Struct):
    """One message of any role."""

    role: str | None = None
    content: str | list[ContentPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct):
    """What a stream carries besides the text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class WebSearchOptions(msgspec.Struct):
    """Switches web search on by being there."""

    search_context_size: str | None = None
    user_location: dict[str, Any] | None = None


class ResponseFormat(msgspec.Struct):
    """The form of the answer."""

    type: str | None = None


class ChatBody(msgspec.Struct):
    """All fields of the request that OpenAI documents."""

    model: str | None = None
    messages: list[Message] | None = None

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    web_search_options: WebSearchOptions | None = None

    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None

    logit_bias: dict[str, float] | None = None
    metadata: dict[str, str] | None = None
    moderation: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | dict[str, Any] | None = None
    reasoning_effort: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    user: str | None = None
    verbosity: str | None = None

    n: int | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: str | dict[str, Any] | None = None
    functions: list[msgspec.Raw] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
