"""`BoundedHttpProtocol`: uvicorn's httptools protocol with limits and time-outs.

httptools is strict about framing, but it bounds nothing: heads and trailers may be endless, in size
and in time, and two `Host` headers pass. What is refused here never reaches the application; it is
answered in OpenAI's error form, after which the connection is closed.

A connection whose client still sends is closed in stages (RFC 9112 section 9.6): a socket that is
closed with bytes unread answers them with a reset, and the reset takes the answer away from every
client that sends all before it reads.

An offer to upgrade, as Java's own client makes it with every first request (h2c), is ignored, as
RFC 9110 section 7.8 allows. httptools takes what follows such a head for the other protocol and
drops the body, so another parser reads on from there.
"""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.alarm import Alarm
from service.http_transport import StagedTransport

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MAX_HEAD_BYTES: Final = 32 << 10
MAX_HEADERS: Final = 100

HEAD_TIMEOUT: Final = 10.0
"""Seconds from the connection, or from a later request's first byte, to the end of the head."""

BODY_TIMEOUT: Final = 120.0
"""Seconds from the end of the head to the end of the body, while the application reads."""

LINGER_TIMEOUT: Final = 10.0
"""Seconds that a client may go on sending after its last answer, to nobody."""

_FRAMING: Final = (b"content-length", b"transfer-encoding")


class _Refusal(NamedTuple):
    status: HTTPStatus
    message: str


_MALFORMED: Final = _Refusal(HTTPStatus.BAD_REQUEST, "The request is not well-formed HTTP.")
_HOST: Final = _Refusal(HTTPStatus.BAD_REQUEST, "The request needs exactly one Host header.")
_TOO_LARGE: Final = _Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The request's head is too large: at most {MAX_HEADERS} headers in {MAX_HEAD_BYTES} bytes.",
)
_TOO_SLOW: Final = _Refusal(HTTPStatus.REQUEST_TIMEOUT, "The request did not come in time.")


class BoundedHttpProtocol(HttpToolsProtocol):
    """One HTTP/1.1 connection; only what uvicorn lacks is here."""

    head_timeout = HEAD_TIMEOUT
    body_timeout = BODY_TIMEOUT
    linger_timeout = LINGER_TIMEOUT

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusal = _MALFORMED
        self._in_head = False
        self._header_bytes = 0
        """Of the headers of the head at hand."""
        self._in_body = False
        self._served: RequestResponseCycle | None = None
        """The request that was begun last; `cycle` is the last one that came."""
        self._silent_bytes = 0
        """What came since the last whole head or piece of a body: the parser holds it."""
        self._in_framing = False
        """Whether what is parsed is what `_ignore_offer` repeats of a head."""
        self._alarm = Alarm(self.loop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._staged = StagedTransport(transport, self._close)
        self.transport = cast("asyncio.Transport", self._staged)
        self._alarm.set(self.head_timeout, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time-out, and tell the request that is served."""
        self._alarm.close()
        self._disconnect()
        super().connection_lost(exc)
        self._staged.detach()

    def on_response_complete(self) -> None:
        """Send a head that has no body, as the answer to `HEAD`; go on to the next request."""
        self._staged.flush()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Close as soon as no request is served; half a head has no answer that could be lost."""
        if self._open_cycle is None:
            self._in_head = False
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Parse, until the parser holds too much."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._silent_bytes += len(data)
        rest = memoryview(data)
        try:
            while rest:
                rest = self._parse(rest)
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        if self._silent_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        elif not self._alarm.is_set and self._open_cycle is None:  # empty lines before a request
            self._alarm.set(self.head_timeout, self._head_is_late)

    def on_message_begin(self) -> None:
        """Start the clock of the head."""
        if self._in_framing:
            return
        super().on_message_begin()
        self._in_head = True
        self._header_bytes = 0
        self._alarm.set(self.head_timeout, self._head_is_late)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        if not self._in_framing:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header up to the limit; leave trailers, which uvicorn would add to the headers."""
        if not self._in_head:
            return
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value) + 4
        if len(self.headers) > MAX_HEADERS:
            self._stop_parsing(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Check the head as a whole before the application sees it."""
        if self._in_framing:
            return
        if len(self.url) + self._header_bytes > MAX_HEAD_BYTES:
            self._stop_parsing(_TOO_LARGE)
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._stop_parsing(_MALFORMED)
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            self._stop_parsing(_HOST)
        super().on_headers_complete()
        self._in_head = False
        self._in_body = True
        self._silent_bytes = 0
        self._alarm.set(self.body_timeout, self._body_is_late)

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._silent_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the clock: the rest is up to the application."""
        if self._awaits_body_after_offer:
            return
        self._alarm.clear()
        self._in_body = False
        self._silent_bytes = 0
        super().on_message_complete()

    def _parse(self, data: memoryview) -> memoryview:
        """Parse, up to an offer to upgrade, and return what is left."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._ignore_offer()
            return data[offer.args[0] :]
        return data[:0]

    def _ignore_offer(self) -> None:
        """Have a parser that expects the body, if one is due, as the head has framed it."""
        if not self._awaits_body_after_offer:
            return
        self.parser = httptools.HttpRequestParser(self)
        framing = (header for header in self.headers if header[0] in _FRAMING)
        self._in_framing = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + _lines(framing) + b"\r\n")
        self._in_framing = False

    @property
    def _awaits_body_after_offer(self) -> bool:
        return self.parser.should_upgrade() and any(name in _FRAMING for name, _ in self.headers)

    def _stop_parsing(self, refusal: _Refusal) -> None:
        self._refusal = refusal
        raise httptools.HttpParserError(refusal.message)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def _head_is_late(self) -> None:
        if self._open_cycle is not None:  # its turn has not come
            self._alarm.set(self.head_timeout, self._head_is_late)
        elif self._in_head:
            self._refuse(_TOO_SLOW)
        else:  # browsers and probes connect in advance and take an answer to nothing amiss
            self.transport.close()

    def _body_is_late(self) -> None:
        if self.flow.read_paused:  # the application is late, not the client
            self._alarm.set(self.body_timeout, self._body_is_late)
        else:
            self._refuse(_TOO_SLOW)

    def _refuse(self, refusal: _Refusal) -> None:
        """Answer and close; only close where another answer has begun or is due before."""
        self._alarm.clear()
        if self._is_next_to_answer:
            self.transport.write(self._answer(refusal))
        self._disconnect()
        self.transport.close()

    def _close(self, transport: asyncio.Transport) -> None:
        if not (self._in_head or self._in_body):
            transport.close()
            return
        if transport.can_write_eof():  # not with TLS
            with contextlib.suppress(OSError):  # the client has gone, as the transport will see
                transport.write_eof()
        self.flow.resume_reading()
        self._alarm.set(self.linger_timeout, transport.abort)

    def _disconnect(self) -> None:
        """Tell the request that is served that there is nobody to answer."""
        cycle = self._open_cycle
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()

    @property
    def _is_next_to_answer(self) -> bool:
        """Whether no answer has begun to the request at hand, and none is due before."""
        cycle = self._open_cycle
        if cycle is None:
            return not self._in_body
        return self._in_body and cycle is self.cycle and not cycle.response_started

    @property
    def _open_cycle(self) -> RequestResponseCycle | None:
        cycle = self._served
        return None if cycle is None or cycle.response_complete else cycle

    def _answer(self, refusal: _Refusal) -> bytes:
        error = {
            "message": refusal.message,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
        body = orjson.dumps({"error": error})
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        return STATUS_LINE[refusal.status] + _lines(headers) + b"\r\n" + body


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
