"""A chat completion: what is asked of the provider, and what its words mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onemin.inference.v1 import chat_pb2
from service.translation.crawl import without_crawl_lines
from service.translation.prompt import flatten
from service.upstream.errors import UpstreamEmpty
from service.upstream.payloads import ChatPayload, WebSearch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.translation.turns import Turn
    from service.upstream.payloads import ChatRecord, RecordUsage

_NEUTRAL: Final = {
    "temperature": 1.0,
    "top_p": 1.0,
    "seed": None,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
}
"""The sampling fields that the provider does not have, with the value that changes nothing."""

_FINISH_REASONS: Final = {
    "length": chat_pb2.FINISH_REASON_LENGTH,
    "max_tokens": chat_pb2.FINISH_REASON_LENGTH,
    "safety": chat_pb2.FINISH_REASON_CONTENT_FILTER,
    "content_filter": chat_pb2.FINISH_REASON_CONTENT_FILTER,
    "recitation": chat_pb2.FINISH_REASON_CONTENT_FILTER,
}
"""The vendors' words that do not simply mean that the model had finished."""


def to_payload(
    spec: chat_pb2.ChatCompletionSpec, turns: Sequence[Turn], *, model: str, boundary: str
) -> ChatPayload:
    """Return the provider's request for a conversation.

    Args:
        spec: How it is to be answered.
        turns: The conversation.
        model: The provider's own id of the model.
        boundary: A fresh random text that message contents cannot know.
    """
    search = spec.web_search if spec.HasField("web_search") else None
    return ChatPayload(
        model=model,
        prompt=flatten(turns, boundary),
        web_search=None if search is None else _web_search(search),
    )


def ignored_parameters(sampling: chat_pb2.SamplingConfig) -> list[str]:
    """Return the names of the fields that are set and cannot be honoured, sorted."""
    given = {field.name: value for field, value in sampling.ListFields()}
    return sorted(name for name in given.keys() & _NEUTRAL.keys() if given[name] != _NEUTRAL[name])


def finish_reason(record: ChatRecord | None) -> chat_pb2.FinishReason.ValueType:
    """Return why the provider ended the answer; without a word of its own, it had finished."""
    word = record.finish_reason if record is not None else None
    return _FINISH_REASONS.get(word or "", chat_pb2.FINISH_REASON_STOP)


def whole_text(record: ChatRecord, *, web_search: bool) -> str:
    """Return the text of a whole answer.

    Raises:
        UpstreamEmpty: It has none, and its ending does not say why.
    """
    text = record.text or ""
    text = without_crawl_lines(text) if web_search else text
    check_not_empty(text, finish_reason(record))
    return text


def check_not_empty(text: str, reason: chat_pb2.FinishReason.ValueType) -> None:
    """Raise `UpstreamEmpty` for an answer without a text that claims to be finished.

    A filtered answer, or one whose tokens all went into thinking, may be empty: its finish reason
    says so.
    """
    if not text and reason == chat_pb2.FINISH_REASON_STOP:
        raise UpstreamEmpty("the answer has no text")


def to_usage(usage: RecordUsage) -> chat_pb2.TokenUsage:
    """Return the provider's own figures."""
    return chat_pb2.TokenUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        credits=usage.credits,
    )


def _web_search(search: chat_pb2.WebSearchConfig) -> WebSearch:
    return WebSearch(
        max_sites=search.max_sites if search.HasField("max_sites") else None,
        max_words=search.max_words if search.HasField("max_words") else None,
    )
