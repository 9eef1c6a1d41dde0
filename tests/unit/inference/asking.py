"""Asks the service for an answer, whole or streamed."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.call import Call, Protocol

CALL = Call(request_id="r", credential="key", protocol=Protocol.GRPC)


def spec(prompt="repeat: one two three", model="gpt-4o", *, search=False, **sampling):
    return chat_pb2.ChatCompletionSpec(
        model=model,
        messages=[
            chat_pb2.ChatMessage(
                role=chat_pb2.CHAT_ROLE_USER, parts=[chat_pb2.ContentPart(text=prompt)]
            )
        ],
        sampling=chat_pb2.SamplingConfig(**sampling) if sampling else None,
        web_search=chat_pb2.WebSearchConfig() if search else None,
    )


async def whole(service, spec):
    return await service.create_chat_completion(pb.CreateChatCompletionRequest(spec=spec), CALL)


async def streamed(service, spec):
    """Return an answer that came in pieces in the form of a whole one."""
    request = pb.StreamChatCompletionRequest(spec=spec)
    async with aclosing(service.stream_chat_completion(request, CALL)) as reads:
        first, *deltas, last = [event async for events in reads for event in events]
    return pb.CreateChatCompletionResponse(
        id=first.started.id,
        model=first.started.model,
        create_time=first.started.create_time,
        text="".join(event.delta.text for event in deltas),
        finish_reason=last.completed.finish_reason,
        usage=last.completed.usage,
        ignored_parameters=first.started.ignored_parameters,
    )


BOTH = pytest.mark.parametrize("ask", [whole, streamed])
