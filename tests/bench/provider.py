"""The provider that everything is measured over: the least that speaks its wire, never the brake.

The caller's key says what to answer: `bench-EVENTS-PACE-USAGE`, where a stream has EVENTS pieces,
PACE milliseconds apart (0: each in a turn of the loop of its own), and USAGE is 1 if the record
holds the provider's token counts. No two answers are the same text, so that nothing that remembers
texts has an advantage.

The pieces of paced streams are stamps: `<MICROSECONDS>`, and in the first `<RECEIVED,MICROSECONDS>`,
on the monotonic clock that all processes of a machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS: Final = Path(__file__).parents[1] / "data" / "upstream" / "models" / "chat.json"

_KEY: Final = re.compile(rb"bench-(\d+)-(\d+)-([01])")
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"
_WORDS: Final = "the answer is a plain text of words that a model might well have said to you "
_USAGE: Final = {"inputToken": 700, "outputToken": 120, "totalToken": 820, "credit": 820}
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_TEXT_BYTES: Final = 512
_NUMBER_BYTES: Final = 8

_number = count()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    uvloop.run(_serve(port))


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # as create_server gives

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        length = _LENGTH.search(self._received, 0, head_end)
        end = head_end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._received) < end:
            return
        head = bytes(self._received[:head_end])
        del self._received[:end]
        self._answer(head)

    def _answer(self, head: bytes) -> None:
        key = _KEY.search(head)
        if key is None:
            self._transport.write(_whole(MODELS.read_bytes()))
            return
        events, pace, usage = (int(value) for value in key.groups())
        if b"isStreaming=true" not in head:
            self._transport.write(_record(usage=bool(usage)))
            return
        self._transport.write(_STREAM_HEAD)
        if pace:
            self._loop.call_later(
                pace / 1000,
                self._stamp,
                events,
                pace / 1000,
                self._loop.time(),
                bool(usage),
                _now(),
            )
        else:
            self._loop.call_soon(self._next, iter(_pieces(events)), bool(usage))

    def _next(self, pieces: Iterator[bytes], usage: bool) -> None:  # noqa: FBT001  # a callback
        piece = next(pieces, None)
        if piece is None:
            self._transport.write(_ENDINGS[usage])
        elif not self._transport.is_closing():
            self._transport.write(piece)
            self._loop.call_soon(self._next, pieces, usage)

    def _stamp(
        self,
        left: int,
        pace: float,
        last: float,
        usage: bool,  # noqa: FBT001  # a callback
        received: int | None = None,
    ) -> None:
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(_ENDINGS[usage])
            return
        stamp = b"<%d>" % _now() if received is None else b"<%d,%d>" % (received, _now())
        self._transport.write(_chunk(_content(stamp)))
        due = last + pace  # on a grid of its own: a late piece does not delay the next
        self._loop.call_at(due + pace if left > 1 else due, self._stamp, left - 1, pace, due, usage)


def _now() -> int:
    return time.monotonic_ns() // 1000


def _whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _content(text: bytes) -> bytes:
    return b'event: content\ndata: {"content":"%b"}\n\n' % text


def _pieces(events: int) -> list[bytes]:
    """Return a number that is new, then slices of a text."""
    size = _TEXT_BYTES // events
    first = b"%0*d" % (min(size, _NUMBER_BYTES), next(_number) % 10**size)
    text = _text().encode()
    slices = [text[start : start + size] for start in range(size, _TEXT_BYTES, size)]
    return [_chunk(_content(piece)) for piece in [first, *slices][:events]]


def _text() -> str:
    return (_WORDS * (_TEXT_BYTES // len(_WORDS) + 1))[:_TEXT_BYTES]


def _ai_record(text: str, *, usage: bool) -> dict[str, object]:
    """Return what https://docs.1min.ai/docs/api/chat-with-ai-api shows, its echo left out."""
    return {
        "aiRecord": {
            "uuid": "2f6f0f4e-0f3f-4d3f-9f0e-3a3b6a9f2c11",
            "userId": "5c1d7a52-7b4f-4a69-9e8f-1f0a2b3c4d5e",
            "teamId": "9b2f6a1e-4c3d-4e5f-8a7b-6c5d4e3f2a1b",
            "model": "gpt-4o-mini",
            "type": "UNIFY_CHAT_WITH_AI",
            "metadata": _USAGE if usage else None,
            "status": "SUCCESS",
            "createdAt": "2026-10-01T12:00:00.000Z",
            "aiRecordDetail": {"promptObject": {}, "resultObject": [text], "responseObject": {}},
            "modelDetail": {"name": "gpt-4o-mini", "provider": "OPENAI"},
        }
    }


def _split_record(*, usage: bool) -> tuple[bytes, bytes]:
    placeholder = "#" * _NUMBER_BYTES
    body = orjson.dumps(_ai_record(placeholder + _text()[_NUMBER_BYTES:], usage=usage))
    before, _, after = _whole(body).partition(placeholder.encode())
    return before, after


_RECORDS: Final = (_split_record(usage=False), _split_record(usage=True))


def _record(*, usage: bool) -> bytes:
    before, after = _RECORDS[usage]
    return b"%b%0*d%b" % (before, _NUMBER_BYTES, next(_number), after)


def _ending(*, usage: bool) -> bytes:
    # Without its text: the pieces hold it, and what a record adds is the usage.
    record = _ai_record("", usage=usage)
    record["aiRecord"]["aiRecordDetail"]["resultObject"] = None  # type: ignore[index]  # as built
    result = b"event: result\ndata: %b\n\n" % orjson.dumps(record)
    done = b'event: done\ndata: {"message":"Stream completed"}\n\n'
    return _chunk(result + done) + b"0\r\n\r\n"


_ENDINGS: Final = (_ending(usage=False), _ending(usage=True))

if __name__ == "__main__":
    main()
