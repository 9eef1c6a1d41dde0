"""What is sent to the provider and what comes back, as plain values.

Shapes are the provider's own, named in its documentation at
https://docs.1min.ai/docs/api/chat-with-ai-api, reduced to what this service uses. They are msgspec's,
which are made in a fifth of the time of a frozen dataclass: there is one for each event.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class WebSearch(msgspec.Struct, frozen=True):
    """Bounds of a web search; None leaves a bound to the provider."""

    max_sites: int | None = None
    max_words: int | None = None


class ChatPayload(msgspec.Struct, frozen=True):
    """One chat request: a single prompt, hidden from `repr` because it is the caller's."""

    model: str
    prompt: str
    web_search: WebSearch | None = None

    def __repr__(self) -> str:
        return f"ChatPayload(model={self.model!r}, web_search={self.web_search!r})"


class RecordUsage(msgspec.Struct, frozen=True):
    """The provider's own count of one answer, in tokens, and its price in credits."""

    prompt_tokens: int
    completion_tokens: int
    credits: float | None = None


class ChatRecord(msgspec.Struct, frozen=True):
    """The provider's record of one answer.

    Attributes:
        text: The whole answer; None where the record holds none (an empty string is a text).
        finish_reason: The provider's own word for the ending, in lower case, or None.
        usage: Its figures; None where they are missing or all zero.
    """

    text: str | None
    finish_reason: str | None = None
    usage: RecordUsage | None = None

    def __repr__(self) -> str:
        return f"ChatRecord(finish_reason={self.finish_reason!r}, usage={self.usage!r})"


class ContentEvent(msgspec.Struct, frozen=True):
    """A piece of the answer, perhaps empty.

    Attributes:
        text: The piece.
        sliced: Whether the network cut it, rather than the provider.
    """

    text: str
    sliced: bool = False

    def __repr__(self) -> str:
        return f"ContentEvent(sliced={self.sliced!r})"


class ResultEvent(msgspec.Struct, frozen=True):
    """The record that follows the pieces."""

    record: ChatRecord


class DoneEvent(msgspec.Struct, frozen=True):
    """The provider called the stream complete: `done`, `[DONE]`, or the clean end of raw text."""


class SkippedEvent(msgspec.Struct, frozen=True):
    """An event that is broken or unknown; it may have been a piece of the answer."""


ChatEvent: TypeAlias = ContentEvent | ResultEvent | DoneEvent | SkippedEvent


class ModelEntry(msgspec.Struct, frozen=True):
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
