"""`Pipeline`: what every call passes, on whichever door it came, before and after the service.

Outermost first: error boundary and observation, drain gate and size, admission, deadline, rules,
stream invariants. Cheap checks come before dear ones and before the first wait, refusals are observed
too, and the deadline covers only the work. The credential needs no step: without a well-formed one
there is no `Call`, and whether it is right only the provider knows.

The pipeline wraps any `InferenceApi`. In role `http` it wraps the far side, which validates.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from service.errors import Reason, ServiceError
from service.inference.invariants import StreamInvariants
from service.inference.observation import Observation
from service.stages import Stage, Stages
from service.waits import TooLate, Waits

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from types import TracebackType

    from google.protobuf.message import Message

    from onemin.inference.v1 import inference_service_pb2 as pb
    from service.call import Call
    from service.inference.admission import Admission
    from service.inference.api import InferenceApi
    from service.inference.validation import Validator
    from service.observability.metrics import Metrics
    from service.readiness import Readiness

RequestT = TypeVar("RequestT", bound="Message")
ResponseT = TypeVar("ResponseT", bound="Message")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a call: bytes of its request, seconds of its whole or streamed answer."""

    request_bytes: int
    total_seconds: float
    stream_seconds: float


class Pipeline:
    """An `InferenceApi` around another."""

    def __init__(
        self,
        inner: InferenceApi,
        *,
        limits: Limits,
        admission: Admission,
        readiness: Readiness,
        metrics: Metrics,
        validator: Validator | None,
        stages: Stages,
    ) -> None:
        self._inner = inner
        self._limits = limits
        self._admission = admission
        self._readiness = readiness
        self._metrics = metrics
        self._validator = validator
        self._stages = stages

    async def create_chat_completion(
        self, request: pb.CreateChatCompletionRequest, call: Call
    ) -> pb.CreateChatCompletionResponse:
        """See `InferenceApi`."""
        observation = self._observe("CreateChatCompletion", call, request.spec.model)
        return await self._unary(self._inner.create_chat_completion, request, call, observation)

    async def stream_chat_completion(
        self, request: pb.StreamChatCompletionRequest, call: Call
    ) -> AsyncGenerator[list[pb.StreamChatCompletionResponse]]:
        """See `InferenceApi`."""
        invariants = StreamInvariants()
        with self._observe("StreamChatCompletion", call, request.spec.model) as observation:
            self._check(request)
            with (
                self._admission.slot(call),
                _Deadline(call, self._limits.stream_seconds) as waits,
            ):
                with waits:
                    await self._enter(request)
                async with aclosing(self._inner.stream_chat_completion(request, call)) as reads:
                    while True:
                        try:
                            with waits:
                                events = await anext(reads)
                        except StopAsyncIteration:
                            break
                        observation.note(invariants.check(events))
                        yield events
                        del events  # a stream waits for long
            invariants.close()

    async def list_models(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        """See `InferenceApi`."""
        observation = self._observe("ListModels", call)
        return await self._unary(self._inner.list_models, request, call, observation)

    async def get_model(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        """See `InferenceApi`."""
        observation = self._observe("GetModel", call, request.id)
        return await self._unary(self._inner.get_model, request, call, observation)

    async def count_tokens(
        self, request: pb.CountTokensRequest, call: Call
    ) -> pb.CountTokensResponse:
        """See `InferenceApi`."""
        observation = self._observe("CountTokens", call, request.spec.model)
        return await self._unary(self._inner.count_tokens, request, call, observation)

    def _observe(self, method: str, call: Call, model: str = "") -> Observation:
        return Observation(method, call, model, self._metrics)

    async def _unary(
        self,
        inner: Callable[[RequestT, Call], Awaitable[ResponseT]],
        request: RequestT,
        call: Call,
        observation: Observation,
    ) -> ResponseT:
        with observation:
            self._check(request)
            with (
                self._admission.slot(call),
                _Deadline(call, self._limits.total_seconds) as waits,
                waits,
            ):
                await self._enter(request)
                return await inner(request, call)

    def _check(self, request: Message) -> None:
        if not self._readiness.accepts_calls:
            raise ServiceError(Reason.SHUTTING_DOWN, "The server is shutting down. Try again.")
        limit = self._limits.request_bytes
        if request.ByteSize() > limit:
            raise ServiceError(
                Reason.PAYLOAD_TOO_LARGE,
                f"Maximum content size limit ({limit} bytes) exceeded.",
                metadata={"limit": str(limit)},
            )

    async def _enter(self, request: Message) -> None:
        await self._stages.reach(Stage.DECODED)
        if self._validator is not None:
            self._validator.check(request)
        await self._stages.reach(Stage.CHECKED)


class _Deadline:
    """Bounds what is waited for within by the caller's deadline or ours, whichever comes first.

    A stream is bound event by event, never over a `yield`.
    """

    def __init__(self, call: Call, seconds: float) -> None:
        ours = asyncio.get_running_loop().time() + seconds
        self._seconds = seconds
        self._is_callers = call.deadline is not None and call.deadline < ours
        self._waits = Waits(until=ours if call.deadline is None else min(ours, call.deadline))

    def __enter__(self) -> Waits:
        return self._waits

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._waits.close()
        if isinstance(error, TooLate):
            raise self._passed() from None

    def _passed(self) -> ServiceError:
        if self._is_callers:
            return ServiceError(Reason.DEADLINE_EXCEEDED, "The deadline of the call has passed.")
        return ServiceError(
            Reason.UPSTREAM_TIMEOUT,
            f"1min.ai did not finish its answer within {self._seconds:g} seconds.",
        )
