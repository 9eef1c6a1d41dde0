"""What the provider says to a chat request, before it is put on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.simulator.answers import answer, split
from service.simulator.records import chat_record, retell

if TYPE_CHECKING:
    from service.simulator.chat_request import ChatRequest

_CRAWLED = "🌐 Crawling site {}\n"


class Verbatim(str):
    """Text that is written as it is, where JSON would be expected."""

    __slots__ = ()


def to_json(value: object) -> str:
    """Serialise a JSON value, or return a `Verbatim` as it is."""
    return value if isinstance(value, Verbatim) else json.dumps(value, ensure_ascii=False)


def to_bytes(text: str) -> bytes:
    """Encode as UTF-8; a lone surrogate becomes an escape, as in well-formed JSON."""
    return text.encode("utf-8", "backslashreplace")


@dataclass(slots=True)
class Speech:
    """The content events of a stream, and the record that a whole answer or `result` carries.

    `contents` are the texts of the `content` events, the empty first and last one included.
    `payload` is `{"aiRecord": {…}}`. Both are plain data that faults change.
    """

    text: str
    contents: list[object]
    payload: Any

    @property
    def record(self) -> dict[str, Any]:
        """The inner record."""
        record: dict[str, Any] = self.payload["aiRecord"]
        return record

    def say(self, *deltas: str) -> None:
        """Say something else, in these deltas."""
        self.text = "".join(deltas)
        self.contents = ["", *deltas, ""]
        retell(self.record, self.text)

    def replace_result(self, result: object) -> None:
        """Put something else where the text of the record was."""
        self.record["aiRecordDetail"]["resultObject"] = result


def speak(request: ChatRequest, words: str, *, uuid: str, created_at: str) -> Speech:
    """Answer `words` (the prompt without fault markers), with a web search where it was asked for.

    As upstream, the crawl lines of a search are in the stream but not in the record.
    """
    crawled = [f"https://example.org/{chr(ord('a') + number)}" for number in range(request.sites)]
    text = answer(request.model, words)
    lines = [_CRAWLED.format(link) for link in crawled]
    return Speech(
        text=text,
        contents=["", *lines, *split(text), ""],
        payload=chat_record(request, text, uuid=uuid, created_at=created_at, crawled=crawled),
    )
