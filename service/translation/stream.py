"""From the provider's events to the text of an answer and its ending.

Theory of operation
-------------------
`AnswerStream` is fed the events of one streamed answer and says what text may be handed on. It does
no I/O and knows no clock; whoever reads the provider owns both.

*Accepted.* The provider answers 200 before it knows whether it will serve, so its head proves
nothing. The answer is accepted with the first content, even empty, or with the record. Until then
the caller can still be told the truth by a status.

*Repeats.* Some models' last content repeats the whole answer, and an answer may truly repeat itself
("haha"). A content equal to all text so far is therefore held back, and what follows decides:

    more text           it was a piece of the answer: hand it on, then what follows
    a record            hand it on only if the record's text is what was sent plus what is held
    anything else       nothing speaks for it: drop it

Bare text, which the network cuts where it likes, has no events that could repeat anything.

*The record.* It has the figures of usage and, if its text continues what was sent, the missing
tail. If it differs otherwise, what was sent stands. But if an event could not be read, a piece may
be missing, and only a record whose text equals what was sent proves that none is.

*Whole.* An answer is whole once a record or the mark of completion was seen. Anything else is an
answer that broke off: what came has been handed on, and the failure follows.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from service.translation.crawl import CrawlFilter, without_crawl_lines
from service.upstream.errors import UpstreamMalformed, UpstreamTruncated
from service.upstream.payloads import ContentEvent, DoneEvent, ResultEvent, SkippedEvent

if TYPE_CHECKING:
    from service.upstream.payloads import ChatEvent, ChatRecord


class AnswerStream:
    """The state of one streamed answer."""

    __slots__ = ("_accepted", "_crawl", "_done", "_held", "_record", "_sent", "_skipped")

    def __init__(self, *, web_search: bool) -> None:
        self._crawl = CrawlFilter() if web_search else None
        self._sent = io.StringIO()
        self._held = ""
        self._skipped = 0
        self._done = False
        self._record: ChatRecord | None = None
        self._accepted = False

    @property
    def accepted(self) -> bool:
        """Whether the provider has accepted the request."""
        return self._accepted

    @property
    def record(self) -> ChatRecord | None:
        """The provider's record, once it came."""
        return self._record

    def feed(self, event: ChatEvent) -> str:
        """Return the text that may be handed on after this event, perhaps empty."""
        match event:
            case ContentEvent():
                self._accepted = True
                return self._content(event)
            case ResultEvent(record):
                self._accepted = True
                self._record = record
            case DoneEvent():
                self._done = True
            case SkippedEvent():
                self._skipped += 1
        return ""

    def close(self) -> str:
        """Return the rest of the text, when the provider has ended the stream."""
        return self._settle() + (self._crawl.close() if self._crawl else "")

    def check_whole(self) -> None:
        """Raise unless the closed answer is whole.

        Raises:
            UpstreamTruncated: The stream ended without a record and without a mark of completion.
            UpstreamMalformed: An event could not be read and a piece may be missing.
        """
        if self._record is None and not self._done:
            raise UpstreamTruncated("the stream ended without a record or a mark of completion")
        if self._skipped and not self._is_proved():
            raise UpstreamMalformed(f"{self._skipped} events of the answer could not be read")

    def _content(self, event: ContentEvent) -> str:
        text = event.text
        if not text:
            return ""
        released, self._held = self._held, ""
        passed = self._send(released) if released else ""
        may_repeat = len(text) == self._sent.tell() and not event.sliced
        if may_repeat and text == self._sent.getvalue():
            self._held = text
            return passed
        return passed + self._send(text)

    def _settle(self) -> str:
        """Decide on what is held back, and on the tail that only the record has."""
        held, self._held = self._held, ""
        if self._record is None or self._record.text is None:
            return ""
        sent, whole = self._sent.getvalue(), self._clean(self._record.text)
        if held and whole == self._clean(sent + held):
            return self._send(held)
        passed = self._clean(sent)
        return self._send(whole[len(passed) :]) if whole.startswith(passed) else ""

    def _send(self, text: str) -> str:
        self._sent.write(text)
        return self._crawl.feed(text) if self._crawl else text

    def _is_proved(self) -> bool:
        if self._record is None or self._record.text is None:
            return False
        return self._clean(self._record.text) == self._clean(self._sent.getvalue())

    def _clean(self, text: str) -> str:
        return without_crawl_lines(text) if self._crawl else text
