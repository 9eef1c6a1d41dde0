"""One answer on its way to the caller: cut by the limits of its request, and counted."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Final

from onemin.inference.v1 import chat_pb2
from service.inference.limits import AnswerLimits
from service.translation.chat import finish_reason, to_usage
from service.translation.turns import turns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.inference.tokens import TokenCounter
    from service.translation.turns import Turn
    from service.upstream.payloads import ChatRecord

SLICE: Final = 16 * 1024
"""Characters that are cut and counted at once: about a millisecond."""


class Answer:
    """The text that is handed on, why it ends, and what it used.

    Args:
        spec: What is answered.
        tokens: What counts.
        model: The provider's id of the model.
        owner: The vendor of the model.
        turns: The conversation of `spec`, if it is short enough to be kept; else it is read when it
            is counted.

    Attributes:
        record: The provider's record of the answer, once it is known.
    """

    __slots__ = (
        "_encoding",
        "_limits",
        "_passed",
        "_spec",
        "_tokens",
        "_turns",
        "_usage",
        "record",
    )

    def __init__(
        self,
        spec: chat_pb2.ChatCompletionSpec,
        tokens: TokenCounter,
        *,
        model: str,
        owner: str,
        turns: Sequence[Turn] | None = None,
    ) -> None:
        self._spec = spec
        self._turns = turns
        self._tokens = tokens
        self._encoding = tokens.encoding_for(model, owner)
        self._limits = AnswerLimits(spec.sampling, self._encoding)
        self._passed = io.StringIO()  # a list would keep each piece, at 50 bytes above its text
        self._usage: chat_pb2.TokenUsage | None = None
        self.record: ChatRecord | None = None

    @property
    def text(self) -> str:
        """What was handed on so far."""
        return self._passed.getvalue()

    @property
    def is_cut(self) -> bool:
        """Whether a limit of the request has ended the answer; nothing may follow."""
        return self._limits.finish_reason is not None

    @property
    def is_counted(self) -> bool:
        """Whether `usage` answers at once."""
        return self._usage is not None

    @property
    def finish_reason(self) -> chat_pb2.FinishReason.ValueType:
        """Why the answer ends: our limit, or else the provider's own word."""
        return self._limits.finish_reason or finish_reason(self.record)

    async def feed_whole(self, text: str) -> str:
        """Return what may be handed on of a whole answer, without keeping the event loop."""
        passed = [self.feed(text[:SLICE])]
        for start in range(SLICE, len(text), SLICE):
            if self.is_cut:
                break
            await asyncio.sleep(0)
            passed.append(self.feed(text[start : start + SLICE]))
        return "".join([*passed, self.close()])

    def feed(self, text: str) -> str:
        """Return what may be handed on now; nothing after a cut."""
        if not text:
            return ""
        passed = self._limits.feed(text)
        self._passed.write(passed)
        return passed

    def close(self) -> str:
        """Return the rest, when the provider has ended the answer; nothing after a cut."""
        rest = self._limits.close()
        self._passed.write(rest)
        return rest

    async def prepare(self) -> None:
        """Have what the limits need loaded, off the event loop."""
        if self._limits.tokens is not None:
            await self._tokens.prepare(self._encoding)

    async def usage(self) -> chat_pb2.TokenUsage:
        """Return the provider's figures, or our own where it has none or the answer was cut."""
        if self._usage is None:
            self._usage = await self._count()
        return self._usage

    async def _count(self) -> chat_pb2.TokenUsage:
        known = self.record.usage if self.record else None
        if known and not self.is_cut:
            return to_usage(known)
        turns = turns_of(self._spec.messages) if self._turns is None else self._turns
        size = self._spec.ByteSize()
        prompt = await self._tokens.count_conversation(turns, size, self._encoding)
        completion = self._limits.tokens
        if completion is None:
            completion = await self._tokens.count_text(self.text, self._encoding)
        return chat_pb2.TokenUsage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            estimated=True,
            credits=known.credits if known else None,
        )
