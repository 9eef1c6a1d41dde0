"""`InferenceApi`: the Python shape of `InferenceService`, the port that both doors hold.

The service itself, the pipeline around it and the same service over a channel all have this shape;
the type checker keeps them in step.

Rules of the port, the same in-process and over a channel:

- A request is never written to.
- Only `ServiceError` and `asyncio.CancelledError` are raised.
- A stream is closed by its consumer (`contextlib.aclosing`); leaving early ends the upstream call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from onemin.inference.v1 import inference_service_pb2 as pb
    from service.call import Call


class InferenceApi(Protocol):
    """One method for each RPC of `InferenceService`."""

    async def create_chat_completion(
        self, request: pb.CreateChatCompletionRequest, call: Call
    ) -> pb.CreateChatCompletionResponse:
        """Answer a conversation as a whole."""
        ...

    def stream_chat_completion(
        self, request: pb.StreamChatCompletionRequest, call: Call
    ) -> AsyncGenerator[list[pb.StreamChatCompletionResponse]]:
        """Answer a conversation while it is being written: started, deltas, completed.

        Events that were there at once come in one list, which is never empty, so that what a door
        does for a write is done once for all of them.
        """
        ...

    async def list_models(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        """List the models that are offered, ordered by id."""
        ...

    async def get_model(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        """Describe one model."""
        ...

    async def count_tokens(
        self, request: pb.CountTokensRequest, call: Call
    ) -> pb.CountTokensResponse:
        """Count the tokens of a conversation without asking the provider."""
        ...
