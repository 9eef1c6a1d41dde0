"""Reads the body of a streamed answer: which framing it has, how much of it, and how it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from service.upstream.answers import is_whole, read_whole, record_of
from service.upstream.errors import (
    UpstreamError,
    UpstreamMalformed,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from service.upstream.events import ChatDecoder, RawTextDecoder, SseChatDecoder, is_sse
from service.upstream.payloads import ChatEvent, ContentEvent, DoneEvent, ResultEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from service.upstream.transport import Answer

MAX_EVENT_BYTES: Final = 16 << 20
"""Bytes of one event, beside those of the request: the record echoes the prompt in one line."""

MAX_BODY_BYTES: Final = 64 << 20
"""Bytes of one body, beside those of the request."""

LINGER: Final = 0.2
"""Seconds that a stream has to end after `done`. The end follows at once from a server that
frames its body, and lets the next call use the connection."""

_ANSWERS: Final = (ContentEvent, ResultEvent)


async def chat_events(answer: Answer, request_bytes: int) -> AsyncGenerator[list[ChatEvent]]:
    """Return the events of a streamed answer, by the read, once it is known how it is framed.

    They come in order, in lists that are never empty; `DoneEvent` is the last. The caller closes
    the generator.

    Raises:
        UpstreamRefused: The provider reported an error.
        UpstreamUnavailable, UpstreamTimeout: The body failed before the answer began.
        UpstreamTruncated, UpstreamStalled: It failed later.
        UpstreamMalformed: It cannot be understood, or is too large.
    """
    limit = MAX_BODY_BYTES + request_bytes
    head = b""
    while (sse := is_sse(head)) is None and (chunk := await answer.chunk()):
        head += chunk
    if not sse and is_whole(answer.media_type):
        return _whole(answer, head, limit)
    is_raw = not sse and head.strip()
    decoder = RawTextDecoder() if is_raw else SseChatDecoder(MAX_EVENT_BYTES + request_bytes)
    return _decoded(answer, head, decoder, limit)


async def _whole(answer: Answer, head: bytes, limit: int) -> AsyncGenerator[list[ChatEvent]]:
    body = await read_whole(answer, limit, head)
    yield [ResultEvent(record_of(body, answer.media_type)), DoneEvent()]


async def _decoded(
    answer: Answer, head: bytes, decoder: ChatDecoder, limit: int
) -> AsyncGenerator[list[ChatEvent]]:
    accepted = False
    chunk = head
    size = 0
    try:
        while True:
            size += len(chunk)
            if size > limit:
                raise UpstreamMalformed("the answer is larger than it may be")
            events, ending = _read(decoder.feed(chunk) if chunk else decoder.close())
            if events:
                accepted = accepted or any(isinstance(event, _ANSWERS) for event in events)
                yield events
            if isinstance(ending, DoneEvent):
                await _drain(answer)
                yield [ending]
                return
            if ending is not None:
                raise ending
            if not chunk:
                return
            chunk = await answer.chunk()
    except UpstreamTimeout as error:
        raise (UpstreamStalled(str(error)) if accepted else error) from None
    except UpstreamUnavailable as error:
        raise (UpstreamTruncated(str(error)) if accepted else error) from None


def _read(events: Iterator[ChatEvent]) -> tuple[list[ChatEvent], DoneEvent | Exception | None]:
    """Return what comes before the ending, and the ending if it is there: the provider's, or a bug."""
    before: list[ChatEvent] = []
    try:
        for event in events:
            if isinstance(event, DoneEvent):
                return before, event
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
