"""What is sent to the provider and what comes back, as plain values.

Shapes are the provider's own, named in its documentation at
https://docs.1min.ai/docs/api/chat-with-ai-api, reduced to what this service uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class WebSearch:
    """Bounds of a web search; None leaves a bound to the provider."""

    max_sites: int | None = None
    max_words: int | None = None


@dataclass(frozen=True, slots=True)
class ChatPayload:
    """One chat request: a single prompt, hidden from `repr` because it is the caller's."""

    model: str
    prompt: str = field(repr=False)
    web_search: WebSearch | None = None


@dataclass(frozen=True, slots=True)
class RecordUsage:
    """The provider's own count of one answer, in tokens, and its price in credits."""

    prompt_tokens: int
    completion_tokens: int
    credits: float | None = None


@dataclass(frozen=True, slots=True)
class ChatRecord:
    """The provider's record of one answer.

    Attributes:
        text: The whole answer; None where the record holds none (an empty string is a text).
        finish_reason: The provider's own word for the ending, in lower case, or None.
        usage: Its figures; None where they are missing or all zero.
    """

    text: str | None = field(repr=False)
    finish_reason: str | None = None
    usage: RecordUsage | None = None


@dataclass(frozen=True, slots=True)
class ContentEvent:
    """A piece of the answer, perhaps empty.

    Attributes:
        text: The piece.
        sliced: Whether the network cut it, rather than the provider.
    """

    text: str = field(repr=False)
    sliced: bool = False


@dataclass(frozen=True, slots=True)
class ResultEvent:
    """The record that follows the pieces."""

    record: ChatRecord


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The provider called the stream complete: `done`, `[DONE]`, or the clean end of raw text."""


@dataclass(frozen=True, slots=True)
class SkippedEvent:
    """An event that is broken or unknown; it may have been a piece of the answer."""


ChatEvent: TypeAlias = ContentEvent | ResultEvent | DoneEvent | SkippedEvent


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the provider's live list.

    Attributes:
        id: The id to send.
        title: The name for people.
        owner: The vendor, in lower case.
        active: Whether the provider serves it.
        vision: Whether it takes images; None where the list does not say.
        code: Whether it is also offered as a writer of code.
        context_tokens, output_tokens: Limits, where the list says them.
    """

    id: str
    title: str
    owner: str
    active: bool
    vision: bool | None = None
    code: bool = False
    context_tokens: int | None = None
    output_tokens: int | None = None
