"""Relays the events of the port as server-sent events.

The head of the answer is held until the first event came, so that a call that fails before it is a
true HTTP error. A call that fails later ends with one event that holds the error object: without it
the SDKs would take half an answer for a whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from service.errors import Reason, ServiceError
from service.openai_http.eager import EagerReader
from service.openai_http.sse import error_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from onemin.inference.v1 import inference_service_pb2 as pb
    from service.openai_http.answer import Headers
    from service.openai_http.exchange import Exchange
    from service.openai_http.sse import ChunkWriter
    from service.openai_http.writer import StreamWriter

_log = structlog.get_logger(__name__)

STREAM_HEADERS: Final[Headers] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx would hold events back.
    (b"x-accel-buffering", b"no"),
]
"""Of every stream."""


async def open_stream(
    events: AsyncGenerator[pb.StreamChatCompletionResponse],
) -> pb.StreamChatCompletionResponse.Started:
    """Return the first event.

    Raises:
        ServiceError: The provider did not accept the request.
    """
    async for event in events:
        if event.HasField("started"):
            return event.started
        break
    raise RuntimeError("the stream did not begin with `started`")


async def relay(
    events: AsyncGenerator[pb.StreamChatCompletionResponse],
    chunks: ChunkWriter,
    out: StreamWriter,
    exchange: Exchange,
) -> None:
    """Write all that follows the first event, after the head; the last bytes stay in `out`."""
    await out.add(chunks.opening())
    try:
        completed = await _relay_deltas(events, chunks, out)
    except ServiceError as error:
        exchange.reason = error.reason
        await out.add(error_frame(error))
    except Exception:  # noqa: BLE001  # a bug must not look like an answer that is whole
        _log.exception("stream failed", request_id=exchange.request_id)
        exchange.reason = Reason.INTERNAL
        await out.add(error_frame(ServiceError.internal()))
    else:
        await out.add(chunks.ending(completed))


async def _relay_deltas(
    events: AsyncGenerator[pb.StreamChatCompletionResponse], chunks: ChunkWriter, out: StreamWriter
) -> pb.StreamChatCompletionResponse.Completed:
    completed: pb.StreamChatCompletionResponse.Completed | None = None
    reader = EagerReader(events, out.flush)
    while (event := await reader) is not None:
        if event.HasField("delta"):
            await out.add(chunks.delta(event.delta.text))
        elif event.HasField("completed"):
            completed = event.completed
    if completed is None:
        raise RuntimeError("the stream ended without `completed`")
    return completed
