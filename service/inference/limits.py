"""Where an answer ends: stop sequences and the limit of tokens, which the provider does not know.

Whole and streamed answers go through the same code, and what is cut does not depend on how the text
came in pieces, so equal answers are cut equally. What is still undecided is held back: the longest
end that may begin a stop sequence, and the last word, whose tokens are not known before it ends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from onemin.inference.v1 import chat_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.inference.tokens import Encoding

PIECE: Final = 64
"""Characters. Longer words are counted in pieces, so that a text without spaces still flows."""

_WORD_END: Final = re.compile(r"(?<=\S)(?=[^\S\r\n])")
"""Where tiktoken's encodings always end a token: after a word, before the blank that follows."""


class AnswerLimits:
    """Cuts one answer.

    Attributes:
        finish_reason: Why the answer was cut; None while it was not.
        tokens: The tokens that were passed; None without a limit of tokens.
    """

    __slots__ = ("_budget", "_stops", "finish_reason")

    def __init__(self, sampling: chat_pb2.SamplingConfig, encoding: Encoding) -> None:
        stops = [stop for stop in sampling.stop_sequences[:] if stop]
        self._stops = _StopSequences(stops) if stops else None
        self._budget = (
            _TokenBudget(sampling.max_completion_tokens, encoding)
            if sampling.HasField("max_completion_tokens")
            else None
        )
        self.finish_reason: chat_pb2.FinishReason.ValueType | None = None

    @property
    def tokens(self) -> int | None:
        """The tokens that were passed; None without a limit of tokens."""
        return self._budget.used if self._budget else None

    def feed(self, text: str) -> str:
        """Return what may be handed on; nothing once `finish_reason` is known."""
        if self.finish_reason is not None:
            return ""
        if self._stops:
            text = self._stops.feed(text)
            if self._stops.met:
                self.finish_reason = chat_pb2.FINISH_REASON_STOP
                return self._spend(text, last=True)
        return self._spend(text, last=False) if self._budget else text

    def close(self) -> str:
        """Return the rest, when the answer has ended by itself; nothing if it was cut."""
        if self.finish_reason is not None:
            return ""
        text = ""
        if self._stops:
            text = self._stops.close()
            if self._stops.met:
                self.finish_reason = chat_pb2.FINISH_REASON_STOP
        return self._spend(text, last=True)

    def _spend(self, text: str, *, last: bool) -> str:
        if self._budget is None:
            return text
        passed = self._budget.feed(text) + (self._budget.close() if last else "")
        if self._budget.exceeded:
            self.finish_reason = chat_pb2.FINISH_REASON_LENGTH
        return passed


class _StopSequences:
    """Ends a text before the first stop sequence in it; `met` says whether one was."""

    __slots__ = ("_held", "_longest", "_stops", "met")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops))
        self._held = ""
        self.met = False

    def feed(self, text: str) -> str:
        text = self._held + text
        first = self._first(text)
        undecided = self._undecided(text)
        self.met = first <= undecided and first < len(text)
        cut = min(first, undecided)
        self._held = "" if self.met else text[cut:]
        return text[:cut]

    def close(self) -> str:
        text, self._held = self._held, ""
        first = self._first(text)
        self.met = first < len(text)
        return text[:first]

    def _first(self, text: str) -> int:
        """Return where the first stop sequence begins, or the length of the text."""
        found = (text.find(stop) for stop in self._stops)
        return min((at for at in found if at >= 0), default=len(text))

    def _undecided(self, text: str) -> int:
        """Return where the longest end begins that may become a stop sequence."""
        for at in range(max(0, len(text) - self._longest + 1), len(text)):
            if any(stop.startswith(text[at:]) for stop in self._stops):
                return at
        return len(text)


class _TokenBudget:
    """Ends a text after so many tokens; `exceeded` says whether there was more."""

    __slots__ = ("_encoding", "_held", "_limit", "exceeded", "used")

    def __init__(self, limit: int, encoding: Encoding) -> None:
        self._limit = limit
        self._encoding = encoding
        self._held = ""
        self.used = 0
        self.exceeded = False

    def feed(self, text: str) -> str:
        text = self._held + text
        passed = []
        start = 0
        while not self.exceeded and (end := _piece_end(text, start)):
            passed.append(self._spend(text[start:end]))
            start = end
        self._held = text[start:]
        return "".join(passed)

    def close(self) -> str:
        text, self._held = self._held, ""
        return self._spend(text) if text and not self.exceeded else ""

    def _spend(self, piece: str) -> str:
        tokens = self._encoding.count(piece)
        left = self._limit - self.used
        self.used += min(tokens, left)
        self.exceeded = tokens > left
        return self._encoding.take(piece, left) if self.exceeded else piece


def _piece_end(text: str, start: int) -> int:
    """Return where the piece that begins at `start` ends, or 0 if that is not known yet."""
    match = _WORD_END.search(text, start + 1, start + PIECE + 1)
    if match:
        return match.start()
    return start + PIECE if len(text) > start + PIECE else 0
