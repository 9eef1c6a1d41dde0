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

from dataclasses import dataclass
from typing import Final

BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(Exception):
    """An event is larger than it may be; the decoder is of no use any more."""


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event.

    Attributes:
        name: Its `event` field; empty where it has none.
        data: Its `data` lines, joined by LF. A byte that is not UTF-8 is a lone surrogate
            (`surrogateescape`), which no JSON parser lets pass.
    """

    name: str
    data: str


class SseDecoder:
    """Turns chunks of one response body into events.

    Args:
        max_event_bytes: The most that the lines of one event may hold, unfinished ones included.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._line = bytearray()
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._at_start = True
        self._too_large = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the events that `chunk` completes.

        Raises:
            EventTooLarge: By this call, or by the next one if there are events to return first.
        """
        events: list[SseEvent] = []
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        for piece in chunk.splitlines(keepends=True):
            line = piece.rstrip(b"\r\n")
            if self._size + len(self._line) + len(line) > self._max:
                self._too_large = True
                break
            if len(line) < len(piece):
                self._end_line(line, events)
            else:
                self._line += line
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        if not events:
            self._refuse_too_large()
        return events

    def close(self) -> list[SseEvent]:
        """Return the event that the end of the body completes, if there is one.

        Raises:
            EventTooLarge: As `feed`.
        """
        self._refuse_too_large()
        events: list[SseEvent] = []
        self._end_line(b"", events)
        self._deliver(events)
        return events

    def _refuse_too_large(self) -> None:
        if self._too_large:
            raise EventTooLarge

    def _end_line(self, rest: bytes, events: list[SseEvent]) -> None:
        line = rest
        if self._line:
            line = bytes(self._line + rest)
            self._line.clear()
        if self._at_start:
            line = line.removeprefix(BOM)
            self._at_start = False
        if line:
            self._take_field(line)
        else:
            self._deliver(events)

    def _take_field(self, line: bytes) -> None:
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
