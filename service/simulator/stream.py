"""The events of a streamed answer, and their framing."""

from __future__ import annotations

from dataclasses import dataclass

from service.simulator.speech import Speech, Verbatim, to_bytes, to_json

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; without a name it has only its data.

    `data` is a JSON value, or a `Verbatim` whose lines become one `data:` line each.
    """

    name: str | None
    data: object

    def frame(self) -> str:
        """Return the event as the provider writes it: LF, one space after the colon."""
        name = [] if self.name is None else [f"event: {self.name}"]
        data = [f"data: {line}" for line in to_json(self.data).split("\n")]
        return "\n".join([*name, *data, "", ""])


@dataclass(slots=True)
class Stream:
    """A streamed answer; `items` are events, or blocks of text written as they are."""

    items: list[Event | Verbatim]
    newline: str = "\n"
    content_type: str = EVENT_STREAM

    def render(self) -> list[bytes]:
        """Return the bytes of each item."""
        return [self._render(item) for item in self.items]

    def _render(self, item: Event | Verbatim) -> bytes:
        text = item.frame() if isinstance(item, Event) else item
        return to_bytes(text if self.newline == "\n" else text.replace("\n", self.newline))


def compose(speech: Speech) -> Stream:
    """Return the events of a faultless stream: contents, `result`, `done`."""
    contents = [Event("content", {"content": text}) for text in speech.contents]
    result = Event("result", speech.payload)
    return Stream([*contents, result, Event("done", {"message": "Stream completed"})])


def error_event(message: str) -> Event:
    """Return the event that refuses or ends a stream, in its documented form."""
    return Event("error", {"error": message})
