"""The objects that this door answers with, as types.

The OpenAPI document is made from them, and clients may take them as a description. They are written
by `encode` and `sse` without being built: one object for each streamed word would cost too much.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

FinishReason = Literal["stop", "length", "content_filter"]


class PromptTokensDetails(msgspec.Struct, forbid_unknown_fields=True):
    """Which kinds of tokens the prompt had; the provider does not say."""

    cached_tokens: int
    audio_tokens: int


class CompletionTokensDetails(msgspec.Struct, forbid_unknown_fields=True):
    """Which kinds of tokens the answer had; the provider does not say."""

    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class Usage(msgspec.Struct, forbid_unknown_fields=True):
    """What an answer used. `estimated` and `credits` are not OpenAI's."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails
    estimated: bool
    credits: float | UnsetType = UNSET


class AnswerMessage(msgspec.Struct, forbid_unknown_fields=True):
    """The answer itself."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[None]


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """The one choice of a whole answer."""

    index: int
    message: AnswerMessage
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(msgspec.Struct, forbid_unknown_fields=True):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: None


class Delta(msgspec.Struct, forbid_unknown_fields=True):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    refusal: UnsetType | None = UNSET


class ChunkChoice(msgspec.Struct, forbid_unknown_fields=True):
    """The one choice of a chunk."""

    index: int
    delta: Delta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(msgspec.Struct, forbid_unknown_fields=True):
    """One `data:` of a streamed answer; the last `data:` is `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    system_fingerprint: None
    usage: Usage | UnsetType | None = UNSET


class Model(msgspec.Struct, forbid_unknown_fields=True):
    """One model. What it has beside OpenAI's four keys is ours."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    capabilities: list[str]
    context_length: int | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET


class ModelList(msgspec.Struct, forbid_unknown_fields=True):
    """All models, on one page."""

    object: Literal["list"]
    data: list[Model]


class ErrorObject(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong; all four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """An answer that is a failure; also the last `data:` of a stream that broke off."""

    error: ErrorObject
