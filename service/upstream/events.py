"""A streamed body, bytes -> `ChatEvent`. No I/O.

It comes in one of three forms. The documented one is server-sent events named `content`, `result`,
`done` and `error`; older deployments send the bare text; `is_sse` tells them apart by the first line
that is not blank. Or a whole answer comes, although a stream was asked for. A decoder for each turns
chunks into events, in order; those of the first two hold nothing back.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final, Protocol

from service.upstream.answers import record_of
from service.upstream.errors import UpstreamMalformed
from service.upstream.payloads import (
    ChatEvent,
    ContentEvent,
    DoneEvent,
    ResultEvent,
    SkippedEvent,
)
from service.upstream.records import chat_record
from service.upstream.refusals import is_error, refusal_of_object
from service.upstream.sse import BOM, EventTooLarge, SseDecoder, SseEvent
from service.upstream.untrusted import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.upstream.untrusted import JsonObject

BLANK_LIMIT: Final = 1024
"""Bytes of blank lines after which a body counts as server-sent events: no answer begins so."""

_LINE_STARTS: Final = (b"event:", b"data:", b"id:", b"retry:", b":")
_DELTA_KEYS: Final = ("content", "delta", "text", "result", "response")


def is_sse(head: bytes) -> bool | None:
    """Tell whether a body that begins with `head` is server-sent events; None: not yet known."""
    line = head.removeprefix(BOM).lstrip(b"\r\n")
    if line.startswith(_LINE_STARTS):
        return True
    if len(head) - len(line) > BLANK_LIMIT:
        return True
    could_be = BOM.startswith(head) or any(start.startswith(line) for start in _LINE_STARTS)
    return None if could_be else False


class ChatDecoder(Protocol):
    """What the three decoders have in common.

    The iterators must be run to their end. They raise `UpstreamRefused` where the provider reports
    an error, `UpstreamUnavailable` where a page came instead, and `UpstreamMalformed` where the body
    cannot be understood, after the events before.
    """

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        """Yield the events that `chunk` completes."""
        ...

    def close(self) -> Iterator[ChatEvent]:
        """Yield the events that the clean end of the body completes."""
        ...


class SseChatDecoder:
    """Reads server-sent events."""

    __slots__ = ("_sse",)

    def __init__(self, max_event_bytes: int) -> None:
        self._sse = SseDecoder(max_event_bytes)

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        """Yield the events that `chunk` completes."""
        try:
            return _chat_events(self._sse.feed(chunk))
        except EventTooLarge as error:
            return _broken(error)

    def close(self) -> Iterator[ChatEvent]:
        """Yield the last event, where no blank line ended it."""
        return _chat_events(self._sse.close())


class RawTextDecoder:
    """Reads an answer that comes as bare text; its clean end is its completion."""

    __slots__ = ("_begun", "_text")

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8-sig")()
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        """Yield the characters that `chunk` completes."""
        return self._decode(chunk, final=False)

    def close(self) -> Iterator[ChatEvent]:
        """Yield the completion."""
        yield from self._decode(b"", final=True)
        yield DoneEvent()

    def _decode(self, chunk: bytes, *, final: bool) -> Iterator[ChatEvent]:
        try:
            text = self._text.decode(chunk, final)
        except UnicodeDecodeError as error:
            # Only the first character of the body may be a byte order mark.
            text = error.object[: error.start].decode("utf-8" if self._begun else "utf-8-sig")
            if text:
                yield ContentEvent(text, sliced=True)
            raise UpstreamMalformed("the text is not UTF-8") from None
        if text:
            self._begun = True
            yield ContentEvent(text, sliced=True)


class RecordDecoder:
    """Reads an answer that comes whole, as one document of `media_type`."""

    __slots__ = ("_body", "_media_type")

    def __init__(self, media_type: str) -> None:
        self._body = bytearray()
        self._media_type = media_type

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        """Yield nothing: no part of a document can be read by itself."""
        self._body += chunk
        return iter(())

    def close(self) -> Iterator[ChatEvent]:
        """Yield the record and the completion; `UpstreamUnavailable` if it is a page."""
        body, self._body = self._body, bytearray()
        yield ResultEvent(record_of(body, self._media_type))
        yield DoneEvent()


def _broken(error: EventTooLarge) -> Iterator[ChatEvent]:
    yield from _chat_events(error.before)
    raise UpstreamMalformed(str(error))


def _chat_events(events: list[SseEvent]) -> Iterator[ChatEvent]:
    for event in events:
        if (read := chat_event(event)) is not None:
            yield read


def chat_event(event: SseEvent) -> ChatEvent | None:
    """Read one event; None if it says nothing.

    Raises:
        UpstreamRefused: It is an error, or the record of a failure.
    """
    data = event.data.strip()
    if event.name == "error":
        raise refusal_of_object(_error_object(data))
    if event.name == "done" or data == "[DONE]":
        return DoneEvent()
    if not data:
        return None
    if event.name in ("", "message", "content"):
        return _content(event.data)
    return _result(parsed(data)) if event.name == "result" else SkippedEvent()


def _error_object(data: str) -> JsonObject:
    value = parsed(data)
    if isinstance(value, dict):
        return value
    text = value if isinstance(value, str) else data
    return {"message": text.encode(errors="replace").decode()}


def _content(data: str) -> ChatEvent:
    value = parsed(data)
    if isinstance(value, dict):
        return _content_object(value)
    if isinstance(value, str):
        return ContentEvent(value)
    # A delta may come bare, and may then look like a number; what looks like JSON is JSON cut off.
    is_text = value is not None or not _is_broken(data)
    return ContentEvent(data) if is_text and not isinstance(value, list) else SkippedEvent()


def _is_broken(data: str) -> bool:
    return data.lstrip().startswith(("{", "[", '"', "null")) or not _is_utf8(data)


def _is_utf8(data: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in data)


def _content_object(value: JsonObject) -> ChatEvent:
    for key in _DELTA_KEYS:
        if isinstance(value.get(key), str):
            return ContentEvent(value[key])
    if "content" in value and value["content"] is None:
        return ContentEvent("")
    if is_error(value):
        raise refusal_of_object(value)
    if "choices" in value:
        return _choice(value["choices"])
    return _result(value) if "aiRecord" in value else SkippedEvent()


def _choice(choices: Any) -> ChatEvent:
    try:
        text = choices[0]["delta"].get("content")
    except (LookupError, TypeError, AttributeError):
        return SkippedEvent()
    return ContentEvent(text or "") if isinstance(text, str | None) else SkippedEvent()


def _result(value: object) -> ChatEvent:
    try:
        return ResultEvent(chat_record(value))
    except UpstreamMalformed:
        return SkippedEvent()
