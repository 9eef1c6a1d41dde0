"""`InferenceService`: one method for each RPC; catalogue, translation, provider, translation."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from onemin.inference.v1 import inference_service_pb2 as pb
from service.inference.answer import Answer
from service.inference.paging import page
from service.inference.tokens import INLINE_BYTES
from service.stages import Stage, Stages
from service.translation.chat import (
    check_not_empty,
    ignored_parameters,
    to_payload,
    whole_text,
)
from service.translation.failure import to_service_error
from service.translation.stream import AnswerStream
from service.translation.turns import turns_of
from service.upstream.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from onemin.inference.v1 import chat_pb2
    from service.call import Call
    from service.inference.catalogue import Catalogue, Resolution
    from service.inference.tokens import TokenCounter
    from service.observability.metrics import Metrics
    from service.translation.turns import Turn
    from service.upstream.client import OneMinClient
    from service.upstream.payloads import ChatEvent, ChatPayload


class InferenceService:
    """Serves the models of 1min.ai; an `InferenceApi`."""

    def __init__(
        self,
        client: OneMinClient,
        catalogue: Catalogue,
        tokens: TokenCounter,
        metrics: Metrics,
        stages: Stages,
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._tokens = tokens
        self._metrics = metrics
        self._stages = stages
        self._counting: set[asyncio.Task[chat_pb2.TokenUsage]] = set()

    async def create_chat_completion(
        self, request: pb.CreateChatCompletionRequest, call: Call
    ) -> pb.CreateChatCompletionResponse:
        """See `InferenceApi`."""
        spec = request.spec
        model, answer, payload = await self._prepared(spec)
        try:
            await self._stages.reach(Stage.PROMPTED)
            answer.record = await self._client.chat(
                payload, credential=call.credential, deadline=call.deadline
            )
            whole = whole_text(answer.record, web_search=spec.HasField("web_search"))
        except UpstreamError as error:
            raise to_service_error(error, spec.model) from error
        try:
            text = await answer.feed_whole(whole)
            await self._stages.reach(Stage.ANSWERED)
            usage = await answer.usage()
        finally:  # 1min.ai has answered, and charged for it
            await self._count_to_the_end(model, answer)
        await self._stages.reach(Stage.COUNTED)
        return pb.CreateChatCompletionResponse(
            id=_new_id(),
            model=model.answer_id,
            create_time=_now(),
            text=text,
            finish_reason=answer.finish_reason,
            usage=usage,
            ignored_parameters=ignored_parameters(spec.sampling),
        )

    async def stream_chat_completion(
        self, request: pb.StreamChatCompletionRequest, call: Call
    ) -> AsyncGenerator[list[pb.StreamChatCompletionResponse]]:
        """See `InferenceApi`."""
        spec = request.spec
        model, answer, payload = await self._prepared(spec)
        reads = self._client.stream_chat(
            payload, credential=call.credential, deadline=call.deadline
        )
        del payload  # a stream is open for long
        stream = _Stream(spec, model, answer)
        failure: UpstreamError | None = None
        try:
            try:
                async with aclosing(reads):
                    async for read in reads:
                        events: list[pb.StreamChatCompletionResponse] = []
                        try:
                            stream.feed(read, events)
                        finally:
                            if events:
                                yield events
                        del read, events  # a stream waits for long
                        if answer.is_cut:
                            break
            except UpstreamError as error:
                failure = error  # what came is handed on before it is raised
            if rest := stream.close():
                yield rest
            if failure is not None:
                raise failure
            stream.check_whole()
            yield [_completed(answer.finish_reason, await answer.usage())]
        except UpstreamError as error:
            raise to_service_error(error, spec.model) from error
        finally:
            failure = None  # its traceback has this frame
            if stream.started:
                await self._count_to_the_end(model, answer)

    async def list_models(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        """See `InferenceApi`."""
        del call  # the catalogue is the same for all
        capability = request.capability if request.HasField("capability") else None
        models = self._catalogue.models(capability)
        chosen, next_token = page(models, request.page_size, request.page_token)
        return pb.ListModelsResponse(models=chosen, next_page_token=next_token)

    async def get_model(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        """See `InferenceApi`."""
        del call  # the catalogue is the same for all
        return pb.GetModelResponse(model=self._catalogue.get(request.id))

    async def count_tokens(
        self, request: pb.CountTokensRequest, call: Call
    ) -> pb.CountTokensResponse:
        """See `InferenceApi`."""
        del call  # nothing leaves this process
        model = self._catalogue.resolve(request.spec.model)
        encoding = self._tokens.encoding_for(model.upstream_id, model.owner)
        turns = turns_of(request.spec.messages)
        count = await self._tokens.count_conversation(turns, request.spec.ByteSize(), encoding)
        return pb.CountTokensResponse(
            token_count=count, encoding=encoding.name, estimated=encoding.estimated
        )

    async def _prepared(
        self, spec: chat_pb2.ChatCompletionSpec
    ) -> tuple[Resolution, Answer, ChatPayload]:
        """Return what a call needs: who answers, the answer to be, and what to ask."""
        model = self._catalogue.resolve(spec.model)
        turns = list(turns_of(spec.messages))
        payload = _payload(spec, turns, model)
        # What is long is read once more to be counted: a call may wait for minutes.
        is_short = len(payload.prompt) <= INLINE_BYTES
        answer = Answer(
            spec,
            self._tokens,
            model=model.upstream_id,
            owner=model.owner,
            turns=turns if is_short else None,
        )
        await answer.prepare()
        return model, answer, payload

    async def _count_to_the_end(self, model: Resolution, answer: Answer) -> None:
        """Count what an answer used, even if the one who waits for it is cancelled once more.

        A deadline over gRPC cancels twice: ours and the library's, a moment apart.
        """
        if answer.is_counted:
            self._count(model, await answer.usage())
            return
        counting = asyncio.create_task(answer.usage())
        self._counting.add(counting)
        counting.add_done_callback(partial(self._counted, model))
        await asyncio.shield(counting)

    def _counted(self, model: Resolution, counting: asyncio.Task[chat_pb2.TokenUsage]) -> None:
        self._counting.discard(counting)
        self._count(model, counting.result())

    def _count(self, model: Resolution, usage: chat_pb2.TokenUsage) -> None:
        self._metrics.tokens_used(model.label, usage.prompt_tokens, usage.completion_tokens)


class _Stream:
    """The events of the port, but for the last one, from those of the provider. No I/O."""

    __slots__ = ("_answer", "_model", "_spec", "_texts", "started")

    def __init__(
        self, spec: chat_pb2.ChatCompletionSpec, model: Resolution, answer: Answer
    ) -> None:
        self._spec = spec
        self._model = model
        self._answer = answer
        self._texts = AnswerStream(web_search=spec.HasField("web_search"))
        self.started = False

    def feed(self, read: list[ChatEvent], events: list[pb.StreamChatCompletionResponse]) -> None:
        """Append what may be handed on after a read of the provider; up to a bug, if there is one."""
        for event in read:
            text = self._texts.feed(event)
            if not self.started and self._texts.accepted:
                self.started = True
                events.append(_started(self._model, ignored_parameters(self._spec.sampling)))
            if passed := self._answer.feed(text):
                events.append(_delta(passed))
            if self._answer.is_cut:
                return

    def close(self) -> list[pb.StreamChatCompletionResponse]:
        """Return what is left, however the provider has ended; nothing after our own cut."""
        self._answer.record = self._texts.record
        rest = self._answer.feed(self._texts.close()) + self._answer.close()
        return [_delta(rest)] if rest else []

    def check_whole(self) -> None:
        """Raise `UpstreamError` unless the answer is whole, or was cut by its request."""
        if not self._answer.is_cut:
            self._texts.check_whole()
            check_not_empty(self._answer.text, self._answer.finish_reason)


def _payload(
    spec: chat_pb2.ChatCompletionSpec, turns: Sequence[Turn], model: Resolution
) -> ChatPayload:
    return to_payload(spec, turns, model=model.upstream_id, boundary=secrets.token_hex(8))


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(16)}"


def _now() -> Timestamp:
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    return Timestamp(seconds=seconds, nanos=nanos)


def _started(model: Resolution, ignored: list[str]) -> pb.StreamChatCompletionResponse:
    started = pb.StreamChatCompletionResponse.Started(
        id=_new_id(), model=model.answer_id, create_time=_now(), ignored_parameters=ignored
    )
    return pb.StreamChatCompletionResponse(started=started)


def _delta(text: str) -> pb.StreamChatCompletionResponse:
    event = pb.StreamChatCompletionResponse()
    event.delta.text = text  # half the cost of giving it to the constructor
    return event


def _completed(
    reason: chat_pb2.FinishReason.ValueType, usage: chat_pb2.TokenUsage
) -> pb.StreamChatCompletionResponse:
    completed = pb.StreamChatCompletionResponse.Completed(finish_reason=reason, usage=usage)
    return pb.StreamChatCompletionResponse(completed=completed)
