"""Putting an answer on the wire: pace, network chunks, and the ways a connection can end."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from enum import Enum, auto
from itertools import cycle
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ABORT_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of zero: closing the socket sends RST instead of FIN."""


class Ending(Enum):
    """What happens after the last piece."""

    FINISH = auto()
    """The body is ended as HTTP asks, and the connection can be used again."""
    CLOSE = auto()
    """The connection is closed; the body is left unfinished."""
    RESET = auto()
    """The connection is reset."""
    SILENCE = auto()
    """Nothing, until the client leaves."""


@dataclass(slots=True)
class Delivery:
    """An answer ready to be written; times are seconds.

    Attributes:
        pieces: the body; each piece is written by itself, an event of a stream to a piece.
        length: `Content-Length`; None sends the body in HTTP chunks.
        head: whether status and headers are sent at all.
        before_head: silence before the head.
        after_head: silence between the head and the first piece.
        between: silence between two pieces.
        chop: sizes in which the bytes of every piece are cut, used in turn; empty for no cut.
        refrain: a piece that is written over and over after the others, without end.
    """

    status: int
    headers: dict[str, str]
    pieces: list[bytes]
    length: int | None = None
    head: bool = True
    before_head: float = 0.0
    after_head: float = 0.0
    between: float = 0.0
    chop: tuple[int, ...] = ()
    refrain: bytes = b""
    ending: Ending = Ending.FINISH

    def until_middle(self) -> tuple[list[bytes], bytes]:
        """Return the pieces of about the first half, and the one that would follow them."""
        if len(self.pieces) > 1:
            middle = len(self.pieces) // 2
            return self.pieces[:middle], self.pieces[middle]
        body = b"".join(self.pieces)
        return [body[: len(body) // 2]], body[len(body) // 2 :]


async def deliver(
    request: web.BaseRequest, delivery: Delivery, hanging_up: Callable[[], None]
) -> web.StreamResponse:
    """Write `delivery`; `hanging_up` is called before this side breaks the connection.

    Raises:
        asyncio.CancelledError: the connection ended, by the client or by `delivery.ending`.
        ConnectionError: the client left while something was written.
    """
    await asyncio.sleep(delivery.before_head)
    response = _response(delivery)
    if delivery.head:
        await response.prepare(request)
        await asyncio.sleep(delivery.after_head)
        await _write(response, delivery)
    if delivery.ending is Ending.FINISH:
        await response.write_eof()
        return response
    if delivery.ending is not Ending.SILENCE:
        hanging_up()
        _hang_up(request, reset=delivery.ending is Ending.RESET)
    # aiohttp cancels the handler when the connection is gone, whoever ended it.
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody resolves that future")


def _response(delivery: Delivery) -> web.StreamResponse:
    response = web.StreamResponse(status=delivery.status, headers=delivery.headers)
    if delivery.length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = delivery.length
    return response


async def _write(response: web.StreamResponse, delivery: Delivery) -> None:
    sizes = cycle(delivery.chop)
    for number, piece in enumerate(delivery.pieces):
        if number:
            await asyncio.sleep(delivery.between)
        for chunk in _chop(piece, sizes) if delivery.chop else (piece,):
            await response.write(chunk)
            # Lets the client read what was written before the next chunk joins it.
            await asyncio.sleep(0)
    while delivery.refrain:
        await asyncio.sleep(delivery.between)
        await response.write(delivery.refrain)


def _chop(piece: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    start = 0
    while start < len(piece):
        end = start + next(sizes)
        yield piece[start:end]
        start = end


def _hang_up(request: web.BaseRequest, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:
        raise AssertionError("aiohttp cancels the handler of a connection that is gone")
    if reset:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT_ON_CLOSE)
        transport.abort()
    else:
        transport.close()
