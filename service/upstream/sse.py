r"""Server-sent events from bytes, without I/O.

Theory of operation
-------------------

`feed` cuts each chunk into lines with `bytes.splitlines`, which for bytes knows exactly the line
ends of the standard: LF, CRLF and CR. Text splitters know eight more, U+2028 among them, and cut
JSON in half. A line that a chunk leaves unfinished waits in one buffer that only grows, so that
every byte is looked at once, however small the chunks are. A CR ends its line at once; if the next
byte is an LF it belongs to that line end, whichever chunk it comes in.

Finished lines change two fields, the event's name and its data lines; a blank line delivers them.
Bytes become text only here, where an event is whole, so that no chunk border can cut a character.

Two rules for this module:

- It is a pure function of the bytes: how they are cut into chunks never shows in the events.
- It keeps no more than `max_event_bytes` of one event.

The grammar is https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream,
with one difference: a last event is delivered although no blank line ends it, because the provider
closes so. `id` and `retry` are for reconnecting, which is never done here.
"""

from __future__ import annotations

from typing import Final

import msgspec

BOM: Final = b"\xef\xbb\xbf"


class SseEvent(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        name: Its `event` field; empty where it has none.
        data: Its `data` lines, joined by LF. A byte that is not UTF-8 is a lone surrogate
            (`surrogateescape`), which no JSON parser lets pass.
    """

    name: str
    data: str


class EventTooLarge(Exception):
    """An event is larger than it may be; the decoder is of no use any more.

    Attributes:
        before: The events that the same chunk completed before it.
    """

    def __init__(self, before: list[SseEvent]) -> None:
        super().__init__("an event is larger than it may be")
        self.before = before


class SseDecoder:
    """Turns chunks of one response body into events.

    Args:
        max_event_bytes: The most that the lines of one event may hold, unfinished ones included.
    """

    __slots__ = ("_after_cr", "_at_start", "_data", "_line", "_max", "_name", "_size")

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._line = bytearray()
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the events that `chunk` completes.

        Raises:
            EventTooLarge: It makes an event larger than it may be.
        """
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        events: list[SseEvent] = []
        lines = chunk.splitlines()
        rest = lines.pop() if lines and not chunk.endswith((b"\n", b"\r")) else b""
        if lines:
            if self._line or self._at_start:
                self._end_line(lines)
            self._take(lines, events)
            self._after_cr = chunk.endswith(b"\r")
        if rest:
            self._line += rest
        if self._line and self._size + self._unfinished() > self._max:
            raise EventTooLarge(events)
        return events

    def close(self) -> list[SseEvent]:
        """Return the event that the end of the body completes, if there is one."""
        self._after_cr = False
        return self.feed(b"\n\n")

    def _unfinished(self) -> int:
        """Return the size of the line at hand, of which the byte order mark is no part."""
        size = len(self._line)
        if self._at_start and BOM.startswith(self._line[: len(BOM)]):
            size -= min(size, len(BOM))
        return size

    def _end_line(self, lines: list[bytes]) -> None:
        if self._line:
            lines[0] = bytes(self._line + lines[0])
            self._line.clear()
        if self._at_start:
            lines[0] = lines[0].removeprefix(BOM)
            self._at_start = False

    def _take(self, lines: list[bytes], events: list[SseEvent]) -> None:
        for line in lines:
            if self._size + len(line) > self._max:
                raise EventTooLarge(events)
            if not line:
                self._deliver(events)
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
                self._size += len(line)
            elif field == b"event":
                self._name = value.removeprefix(b" ")

    def _deliver(self, events: list[SseEvent]) -> None:
        if self._data:
            data = b"\n".join(self._data).decode(errors="surrogateescape")
            events.append(SseEvent(self._name.decode(errors="surrogateescape"), data))
            self._data.clear()
            self._size = 0
        self._name = b""
