"""Faults in the events of a stream: framing, missing ends, errors."""

from __future__ import annotations

from service.simulator.faults.kinds import StreamFault, choice
from service.simulator.speech import Verbatim, to_json
from service.simulator.stream import Event, Stream, error_event

_BUSY = "The openai service is a bit busy right now"
_TEXT = "text/plain; charset=utf-8"


def _named(item: Event | Verbatim, *names: str) -> bool:
    return isinstance(item, Event) and item.name in names


def _contents(stream: Stream) -> list[Event]:
    return [item for item in stream.items if isinstance(item, Event) and item.name == "content"]


def _drop(stream: Stream, *names: str) -> None:
    stream.items = [item for item in stream.items if not _named(item, *names)]


def _no_done(stream: Stream, _argument: str) -> None:
    _drop(stream, "done")


def _no_result(stream: Stream, _argument: str) -> None:
    _drop(stream, "result")


def _no_end(stream: Stream, _argument: str) -> None:
    _drop(stream, "result", "done")


def _insert_midway(stream: Stream, item: Event) -> None:
    stream.items.insert(len(_contents(stream)) // 2, item)


def _unknown_event(stream: Stream, _argument: str) -> None:
    _insert_midway(stream, Event("progress", {"percent": 50}))


def _bad_event(stream: Stream, argument: str) -> None:
    if choice(argument, "added", "lost") == "lost":
        middle = len(_contents(stream)) // 2
        del stream.items[middle : middle + 1]
    _insert_midway(stream, Event("content", Verbatim('{"content":')))


def _error(stream: Stream, where: str, error: Event) -> None:
    contents = _contents(stream)
    stream.items = [*contents[: len(contents) // 2], error] if where == "midway" else [error]


def _error_first(stream: Stream, _argument: str) -> None:
    _error(stream, "first", error_event(_BUSY))


def _error_midway(stream: Stream, _argument: str) -> None:
    _error(stream, "midway", error_event(_BUSY))


def _error_object(stream: Stream, argument: str) -> None:
    message = "The feature requires 105 credits, but the Simulated team only has 35 credits"
    inner = {"error": {"code": "INSUFFICIENT_CREDITS", "message": message}}
    _error(stream, choice(argument, "first", "midway"), Event("error", inner))


def _error_message_form(stream: Stream, argument: str) -> None:
    data = {"message": "Something went wrong", "errorCode": "UNKNOWN_ERROR"}
    _error(stream, choice(argument, "first", "midway"), Event("error", data))


def _error_plain_text(stream: Stream, argument: str) -> None:
    error = Event("error", Verbatim("upstream provider failed"))
    _error(stream, choice(argument, "first", "midway"), error)


def _data_only(stream: Stream, _argument: str) -> None:
    texts: list[Event | Verbatim] = [Event(None, event.data) for event in _contents(stream)]
    stream.items = [*texts, Event(None, Verbatim("[DONE]"))]


def _multi_data_lines(stream: Stream, _argument: str) -> None:
    events = (item for item in stream.items if isinstance(item, Event))
    stream.items = [_break_data(event) for event in events]


def _break_data(event: Event) -> Event:
    # The first ": " follows the first key, where JSON allows white space.
    return Event(event.name, Verbatim(to_json(event.data).replace(": ", ":\n", 1)))


def _comments(stream: Stream, _argument: str) -> None:
    for place, item in enumerate(stream.items[:2]):
        stream.items[place] = _without_spaces(item)
    odd = ": ping\n\n", "data: \n\n", "id: 4\nretry: 1500\n", ":\n\n"
    for place, block in zip((0, 2, 4, 6), odd, strict=True):
        stream.items.insert(place, Verbatim(block))
    stream.items.append(Verbatim("data:[DONE]\n\n"))


def _without_spaces(item: Event | Verbatim) -> Verbatim:
    text = item.frame() if isinstance(item, Event) else item
    return Verbatim(text.replace("event: ", "event:", 1).replace("data: ", "data:", 1))


def _crlf(stream: Stream, _argument: str) -> None:
    stream.newline = "\r\n"


def _raw_text(stream: Stream, _argument: str) -> None:
    texts = (event.data for event in _contents(stream))
    stream.items = [Verbatim(text["content"]) for text in texts if isinstance(text, dict)]
    stream.content_type = _TEXT
    stream.newline = "\n"


STREAM_FAULTS = tuple(
    StreamFault(name, summary, argument, streams_only=True, edit=edit)
    for name, summary, argument, edit in (
        ("no-done", "ends after `result`", "", _no_done),
        ("no-result", "ends after `done`, without `result`", "", _no_result),
        ("no-end", "ends cleanly with neither `result` nor `done`", "", _no_end),
        ("unknown-event", "an event of an unknown name in the middle", "", _unknown_event),
        (
            "bad-event",
            "a content event of broken JSON in the middle, `added` or in place of one (`lost`)",
            "WHAT=added",
            _bad_event,
        ),
        ("error-first", "`event: error`, nothing else", "", _error_first),
        ("error-midway", "`event: error` after half of the text", "", _error_midway),
        ("error-object", "the same with an object: code and message", "WHEN=first", _error_object),
        ("error-message-form", "with message and errorCode", "WHEN=first", _error_message_form),
        ("error-plain-text", "with plain text", "WHEN=first", _error_plain_text),
        ("data-only", "events without names, then `[DONE]`", "", _data_only),
        ("multi-data-lines", "every event in two data lines", "", _multi_data_lines),
        ("comments", "comments, id, retry, empty data, a late `[DONE]`", "", _comments),
        ("crlf", "CRLF line ends", "", _crlf),
        ("raw-text", "the text alone, without any framing", "", _raw_text),
    )
)
