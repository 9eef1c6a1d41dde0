"""The client of paced streams: opens many, reads the provider's stamps, tells how late they came.

Prints one JSON object. Times are seconds, lateness is milliseconds. It is a protocol without a
parser, so that it reads a few hundred thousand events a second: what it measures is slower.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import time
from array import array
from pathlib import Path
from typing import Final

import orjson
import uvloop

SPREAD: Final = 1.0
"""Seconds over which the requests are sent: all at once would measure a queue."""

_STAMP: Final = re.compile(rb"<(\d+)(?:,(\d+))?>")
_COMPLETE: Final = (b"data: [DONE]", b"event: done")
_SUCCESS: Final = b"HTTP/1.1 200 "
_BODY_END: Final = b"\r\n0\r\n\r\n"
_TAIL: Final = 160
_CONNECTIONS_AT_ONCE: Final = 50


class Stream(asyncio.Protocol):
    """One connection and its one stream."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.finished = False
        self.added_first: float | None = None
        self.last = 0.0
        self.late = array("d")
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait to be asked."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # as create_connection gives

    def ask(self, request: bytes) -> None:
        """Send the request."""
        self.sent = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Note each stamp in `data`."""
        now = time.monotonic()
        if not self._tail and not data.startswith(_SUCCESS):
            self._transport.abort()
            return
        for stamp in _STAMP.finditer(data):
            received, sent = stamp.groups()
            if sent is not None:
                self.added_first = now - self.sent - (int(sent) - int(received)) / 1e6
            self.late.append(now - int(sent or received) / 1e6)
        self._tail = (self._tail + data)[-_TAIL:]
        if self._tail.endswith(_BODY_END):
            self.last = now
            self.finished = any(sign in self._tail for sign in _COMPLETE)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        del exc
        self.ended.set()


async def _run(arguments: argparse.Namespace, bodies: list[bytes]) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    streams: list[Stream] = []
    while len(streams) < arguments.streams:
        wanted = min(_CONNECTIONS_AT_ONCE, arguments.streams - len(streams))
        opened = (
            loop.create_connection(Stream, "127.0.0.1", arguments.port) for _ in range(wanted)
        )
        streams += [stream for _, stream in await asyncio.gather(*opened)]
    for number, stream in enumerate(streams):
        body = bodies[(arguments.first + number) % len(bodies)]
        loop.call_later(
            number * SPREAD / len(streams),
            stream.ask,
            _request(arguments.path, arguments.key, body),
        )
    async with asyncio.timeout(arguments.timeout):
        await asyncio.gather(*(stream.ended.wait() for stream in streams))
    return _report(streams)


def _request(path: str, key: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _report(streams: list[Stream]) -> dict[str, object]:
    finished = [stream for stream in streams if stream.finished and stream.late]
    if not finished:
        return {"finished": 0}
    added = [1000 * (stream.added_first or 0.0) for stream in finished]
    late = sorted(1000 * value for stream in finished for value in stream.late)
    return {
        "finished": len(finished),
        "events": len(late),
        "added_first_p50": statistics.median(added),
        "added_first_max": max(added),
        "late_p50": late[len(late) // 2],
        "late_p99": late[len(late) * 99 // 100],
        "total_p50": statistics.median(stream.last - stream.sent for stream in finished),
    }


def main() -> None:
    """Run once and print the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--bodies", required=True)
    parser.add_argument("--first", type=int, default=0, help="the body to begin with")
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--timeout", type=float, default=60.0)
    arguments = parser.parse_args()
    bodies = Path(arguments.bodies).read_bytes().splitlines()
    report = uvloop.run(_run(arguments, bodies))
    print(orjson.dumps(report).decode())  # noqa: T201  # the answer to whoever started it


if __name__ == "__main__":
    main()
