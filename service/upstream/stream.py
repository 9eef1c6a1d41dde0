"""Reads the body of a streamed answer: which framing it has, how much of it, and how it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from service.upstream.answers import is_whole
from service.upstream.errors import (
    UpstreamError,
    UpstreamMalformed,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from service.upstream.events import (
    ChatDecoder,
    RawTextDecoder,
    RecordDecoder,
    SseChatDecoder,
    is_sse,
)
from service.upstream.payloads import ChatEvent, ContentEvent, DoneEvent, ResultEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.upstream.transport import Answer

    Ending: TypeAlias = list[ChatEvent] | Exception
    """What the body ends with: the mark of completion, nothing, or the provider's failure or a bug."""

MAX_EVENT_BYTES: Final = 16 << 20
"""Bytes of one event, beside those of the request: the record echoes the prompt in one line."""

MAX_BODY_BYTES: Final = 64 << 20
"""Bytes of one body, beside those of the request."""

LINGER: Final = 0.2
"""Seconds that a stream has to end after `done`. The end follows at once from a server that
frames its body, and lets the next call use the connection."""

_ANSWERS: Final = (ContentEvent, ResultEvent)


class ChatReader:
    """Reads the events of one streamed answer.

    Args:
        answer: Whose body it is.
        decoder: What its bytes mean.
        limit: Bytes that it may have.
        head: Its first bytes, which were read to know what they mean.
    """

    __slots__ = ("_accepted", "_answer", "_decoder", "_ending", "_head", "_limit", "_size")

    def __init__(self, answer: Answer, decoder: ChatDecoder, limit: int, head: bytes) -> None:
        self._answer = answer
        self._decoder = decoder
        self._limit = limit
        self._head = head
        self._size = 0
        self._accepted = False
        self._ending: Ending | None = None

    @classmethod
    async def of(cls, answer: Answer, request_bytes: int) -> Self:
        """Return the reader of an answer to a request of so many bytes.

        Raises:
            UpstreamUnavailable, UpstreamTimeout: The body failed before it was known how it is framed.
        """
        head = b""
        while (sse := is_sse(head)) is None and (chunk := await answer.chunk()):
            head += chunk
        decoder: ChatDecoder
        if not sse and is_whole(answer.media_type):
            decoder = RecordDecoder(answer.media_type)
        elif not sse and head.strip():
            decoder = RawTextDecoder()
        else:
            decoder = SseChatDecoder(MAX_EVENT_BYTES + request_bytes)
        return cls(answer, decoder, MAX_BODY_BYTES + request_bytes, head)

    async def read(self) -> list[ChatEvent]:
        """Return the events of the next read that has any, in order; none at the end of the body.

        The last of them, by itself, is `DoneEvent`, if the provider marked the answer as complete.

        Raises:
            UpstreamRefused: The provider reported an error.
            UpstreamUnavailable, UpstreamTimeout: The body failed before the answer began.
            UpstreamTruncated, UpstreamStalled: It failed later.
            UpstreamMalformed: It cannot be understood, or is too large.
        """
        try:
            while self._ending is None:
                chunk, self._head = self._head, b""
                events = self._decode(chunk or await self._answer.chunk())
                if events:
                    return events
            return await self._end(self._ending)
        except UpstreamTimeout as error:
            raise (UpstreamStalled(str(error)) if self._accepted else error) from None
        except UpstreamUnavailable as error:
            raise (UpstreamTruncated(str(error)) if self._accepted else error) from None

    def _decode(self, chunk: bytes) -> list[ChatEvent]:
        """Return the events that come before the ending, if it is there."""
        self._size += len(chunk)
        if self._size > self._limit:
            raise UpstreamMalformed("the answer is larger than it may be")
        decoded = self._decoder.feed(chunk) if chunk else self._decoder.close()
        events, self._ending = _before_ending(decoded)
        if not chunk and self._ending is None:
            self._ending = []
        if not self._accepted:
            self._accepted = any(isinstance(event, _ANSWERS) for event in events)
        return events

    async def _end(self, ending: Ending) -> list[ChatEvent]:
        self._ending = []
        if isinstance(ending, Exception):
            try:
                raise ending
            finally:
                del ending  # its traceback has this frame
        if ending:
            await _drain(self._answer)
        return ending


def _before_ending(events: Iterator[ChatEvent]) -> tuple[list[ChatEvent], Ending | None]:
    before: list[ChatEvent] = []
    try:
        for event in events:
            if isinstance(event, DoneEvent):
                return before, [event]
            before.append(event)
    except Exception as error:  # noqa: BLE001  # it is raised when what came before is handed on
        return before, error
    return before, None


async def _drain(answer: Answer) -> None:
    """Read what follows the mark of completion, which is nothing, unless it takes too long."""
    if answer.is_over:
        return
    with suppress(UpstreamError, TimeoutError):  # the answer is complete, however its body ends
        async with asyncio.timeout(LINGER):
            while await answer.chunk():
                pass
