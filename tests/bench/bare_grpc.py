"""The least grpc.aio server that streams: what one message costs before the product does anything.

It answers the contract's `StreamChatCompletion` with EVENTS deltas, PACE milliseconds apart.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

import grpc.aio
import uvloop

from onemin.inference.v1 import inference_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--pace", type=int, required=True)
    uvloop.run(_serve(parser.parse_args()))


async def _serve(arguments: argparse.Namespace) -> None:
    server = grpc.aio.server()
    stream = _Stream(arguments.events, arguments.pace / 1000)
    handler = grpc.unary_stream_rpc_method_handler(
        stream.answer,
        request_deserializer=pb.StreamChatCompletionRequest.FromString,
        response_serializer=pb.StreamChatCompletionResponse.SerializeToString,
    )
    service = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name
    handlers = grpc.method_handlers_generic_handler(service, {"StreamChatCompletion": handler})
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    await server.start()
    await server.wait_for_termination()


class _Stream:
    def __init__(self, events: int, pace: float) -> None:
        self._events = events
        self._pace = pace

    async def answer(
        self, request: pb.StreamChatCompletionRequest, context: Any
    ) -> AsyncIterator[pb.StreamChatCompletionResponse]:
        del request, context
        clock = asyncio.get_running_loop().time
        start = clock()
        for number in range(self._events):
            await asyncio.sleep(start + (number + 1) * self._pace - clock())
            delta = pb.StreamChatCompletionResponse.Delta(text="<1234567890>")
            yield pb.StreamChatCompletionResponse(delta=delta)


if __name__ == "__main__":
    main()
