"""Relays the events of the port as server-sent events.

The head of the answer is held until the first events came, so that a call that fails before it is a
true HTTP error; only an operator's wish sends it earlier. A call that fails after the head ends with
one event that holds the error object: without it the SDKs would take half an answer for a whole one.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from service.errors import ServiceError
from service.openai_http.eager import EagerReader
from service.openai_http.sse import error_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from onemin.inference.v1 import inference_service_pb2 as pb
    from service.openai_http.answer import Headers
    from service.openai_http.exchange import Exchange
    from service.openai_http.sse import ChunkWriter
    from service.openai_http.writer import StreamWriter

    Event: TypeAlias = pb.StreamChatCompletionResponse
    Started: TypeAlias = pb.StreamChatCompletionResponse.Started

_log = structlog.get_logger(__name__)

STREAM_HEADERS: Final[Headers] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx would hold events back.
    (b"x-accel-buffering", b"no"),
]
"""Of every stream."""


class Relay:
    """One stream on its way: the events of the port become the head and the body of the answer.

    Args:
        reads: Where it comes from; it is closed at the end.
        out: Where it goes.
        exchange: What the log line is told.
    """

    __slots__ = ("_exchange", "_out", "_reads")

    def __init__(
        self,
        reads: AsyncGenerator[list[Event]],
        out: StreamWriter,
        exchange: Exchange,
    ) -> None:
        self._reads = reads
        self._out = out
        self._exchange = exchange

    async def run(self, begin: Callable[[Started], tuple[Headers, ChunkWriter]]) -> None:
        """Write the whole answer; its last bytes stay in the writer.

        Args:
            begin: Says what the answer begins with, and what writes it.

        Raises:
            ServiceError: The call failed while the head was not out.
        """
        async with aclosing(self._reads):
            try:
                ending = await self._answer(begin)
            except Exception as error:
                if not self._out.begun:
                    raise
                ending = self._failure(error)
            self._out.add(ending)

    async def _answer(self, begin: Callable[[Started], tuple[Headers, ChunkWriter]]) -> bytes:
        reader = EagerReader(self._reads, self._out.flush)
        events = await reader
        if not events or not events[0].HasField("started"):
            raise RuntimeError("the stream did not begin with `started`")
        started = events[0].started
        self._exchange.model = started.model
        headers, chunks = begin(started)
        await self._out.begin(headers)
        self._out.add(chunks.opening())
        completed = None
        while events is not None:
            for event in events:
                if event.HasField("delta"):
                    self._out.add(chunks.delta(event.delta.text))
                    if self._out.is_full:
                        await self._out.make_room()
                elif event.HasField("completed"):
                    completed = event.completed
            del events  # a stream waits for long
            events = await reader
        if completed is None:
            raise RuntimeError("the stream ended without `completed`")
        return chunks.ending(completed)

    def _failure(self, error: Exception) -> bytes:
        if not isinstance(error, ServiceError):  # a bug must not look like an answer that is whole
            _log.error("stream failed", request_id=self._exchange.request_id, exc_info=error)
            error = ServiceError.internal()
        self._exchange.reason = error.reason
        return error_frame(error)
