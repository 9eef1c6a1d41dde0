"""`StagedTransport`: the way out of one connection, between uvicorn's code and the socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

JOINED: Final = 64 << 10
"""Bytes of a body, or of a part of it, that are joined to the head before them: more is not copied."""


class StagedTransport:
    """A transport as uvicorn's code uses it, with two differences.

    A head waits for the first bytes of its body, as ASGI has it ("must not start sending the
    response to the client until it has received at least one Response Body event",
    https://asgi.readthedocs.io/en/latest/specs/www.html#response-start-send-event): one write is
    half the work of two, here and at the client's.

    How it is closed is given. What is written after that goes nowhere, as with a transport that is
    closed at once.
    """

    __slots__ = ("_close", "_head", "_is_closing", "_transport", "abort")

    def __init__(
        self, transport: asyncio.Transport, close: Callable[[asyncio.Transport], None]
    ) -> None:
        self.abort = transport.abort
        self._transport = transport
        self._close = close
        self._is_closing = False
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write a body or a part of it, or keep a head until its body comes, or `flush`."""
        if self.is_closing():
            return
        if _is_head(data):
            self.flush()
            self._head = data
        elif self._head and len(data) <= JOINED:
            self._transport.write(self._head + data)
            self._head = b""
        else:
            self.flush()
            self._transport.write(data)

    def flush(self) -> None:
        """Write a head that no body follows."""
        if self._head and not self.is_closing():
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Close, after a head that is kept."""
        if not self.is_closing():
            self.flush()
            self._is_closing = True
            self._close(self._transport)

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        return self._is_closing or self._transport.is_closing()

    def detach(self) -> None:
        """Let go of the connection, which is lost; its memory need not wait for the collector."""
        self._close = lambda transport: transport.close()


def _is_head(data: bytes) -> bool:
    """Tell the head of an answer; a body that looks like one is written with what follows it.

    The word to go on sending, `100 Continue`, is none: the client waits for it.
    """
    return data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 ")
