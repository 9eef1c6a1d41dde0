"""`POST /v1/chat/completions`: decode, one call, encode."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from onemin.inference.v1 import inference_service_pb2 as pb
from service.openai_http.answer import difference_headers, send_json
from service.openai_http.body import read_json_body
from service.openai_http.caller import call_from
from service.openai_http.decode import decode_chat_request
from service.openai_http.disconnect import WhileConnected
from service.openai_http.encode import chat_completion
from service.openai_http.exchange import Exchange
from service.openai_http.sse import ChunkWriter
from service.openai_http.stream import STREAM_HEADERS, Relay
from service.openai_http.writer import StreamWriter
from service.stages import Stage, Stages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from starlette.types import Receive, Scope, Send

    from service.inference.api import InferenceApi
    from service.openai_http.answer import Headers
    from service.openai_http.decode import ChatRequest
    from service.openai_http.writer import Silence


class ChatCompletions:
    """The endpoint, as a plain ASGI application because it owns its stream.

    Args:
        api: The port.
        max_body_bytes: The largest body.
        silence: How much of it a stream may show.
        stages: Where calls wait for each other.
    """

    def __init__(
        self, api: InferenceApi, *, max_body_bytes: int, silence: Silence, stages: Stages
    ) -> None:
        self._api = api
        self._max_body_bytes = max_body_bytes
        self._silence = silence
        self._stages = stages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ServiceError: Before anything was sent.
            ClientDisconnected: The client left; the call of the port has been ended.
        """
        call = call_from(scope)
        request = decode_chat_request(await read_json_body(scope, receive, self._max_body_bytes))
        Exchange.of(scope).reached_service = True
        if isinstance(request.message, pb.StreamChatCompletionRequest):
            events = self._api.stream_chat_completion(request.message, call)
            await self._stream(request, events, scope, receive, send)
        else:
            answer = self._api.create_chat_completion(request.message, call)
            await self._whole(request, answer, scope, receive, send)

    async def _whole(
        self,
        request: ChatRequest,
        answer: Awaitable[pb.CreateChatCompletionResponse],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        async with WhileConnected(receive):
            response = await answer
        Exchange.of(scope).model = response.model
        await self._stages.reach(Stage.SERVED)
        body = chat_completion(response, request.shown_model(response.model))
        await send_json(send, 200, body, _differences(request, response))

    async def _stream(
        self,
        request: ChatRequest,
        answer: AsyncGenerator[list[pb.StreamChatCompletionResponse]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        early = [*STREAM_HEADERS, *difference_headers("", "", request.ignored)]

        def begin(started: pb.StreamChatCompletionResponse.Started) -> tuple[Headers, ChunkWriter]:
            chunks = ChunkWriter(
                started, request.shown_model(started.model), include_usage=request.include_usage
            )
            return [*STREAM_HEADERS, *_differences(request, started)], chunks

        async with StreamWriter(send, self._silence, early) as out:
            # In a task of its own, because each event wakes a task from its first frame on: 3 %. It
            # begins before the client is watched, so that one that has left is counted as well.
            relaying = asyncio.create_task(Relay(answer, out, Exchange.of(scope)).run(begin))
            try:
                async with WhileConnected(receive):
                    await relaying
            finally:
                del relaying  # what it may have failed with has this frame
        await send({"type": "http.response.body", "body": out.take(), "more_body": False})


def _differences(
    request: ChatRequest,
    answer: pb.CreateChatCompletionResponse | pb.StreamChatCompletionResponse.Started,
) -> Headers:
    ignored = [*request.ignored, *answer.ignored_parameters[:]]
    return difference_headers(request.spec.model, answer.model, ignored)
