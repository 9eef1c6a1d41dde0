"""Binds an `InferenceApi` to gRPC: decode, one call, encode.

Handlers take and give bytes. A request that does not decode is then refused like any other bad
request; the library would answer UNKNOWN with the text of the exception.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message

from onemin.inference.v1 import inference_service_pb2 as pb
from service.call import Call, Protocol
from service.errors import Reason, ServiceError
from service.rpc.field_count import has_more_fields
from service.rpc.metadata import call_from, initial_metadata, request_id_in
from service.rpc.status import to_grpc
from service.stages import Stage, Stages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from google.protobuf.descriptor import Descriptor

    from service.inference.api import InferenceApi
    from service.observability.metrics import Metrics

Event: TypeAlias = pb.StreamChatCompletionResponse
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
ResultT = TypeVar("ResultT")

SERVICE: Final = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name
"""The full name of the service."""

FIELDS_LIMIT: Final = 32_768
"""Fields of one request, nested ones included: twice what 2048 messages need."""

_COUNTED_BYTES: Final = 64 << 10
"""Smaller requests are parsed at once: they cannot hold enough fields to take long."""

_log = structlog.get_logger("service.rpc")


class Servicer:
    """`InferenceService` as handlers of a gRPC server."""

    def __init__(self, api: InferenceApi, metrics: Metrics, stages: Stages) -> None:
        self._api = api
        self._metrics = metrics
        self._stages = stages

    def handlers(self) -> dict[str, Handler]:
        """Return a handler for each RPC, by its name."""
        api = self._api
        return {
            "CreateChatCompletion": self._unary(
                pb.CreateChatCompletionRequest,
                api.create_chat_completion,
                lambda request, answer: (request.spec.model, answer.model),
            ),
            "StreamChatCompletion": self._stream(
                pb.StreamChatCompletionRequest, api.stream_chat_completion
            ),
            "ListModels": self._unary(pb.ListModelsRequest, api.list_models),
            "GetModel": self._unary(pb.GetModelRequest, api.get_model),
            "CountTokens": self._unary(pb.CountTokensRequest, api.count_tokens),
        }

    def _unary(
        self,
        request_type: type[RequestT],
        method: Callable[[RequestT, Call], Awaitable[ResponseT]],
        models: Callable[[RequestT, ResponseT], tuple[str, str]] = lambda *_: ("", ""),
    ) -> Handler:
        @_guarded
        async def handle(body: bytes, context: Context, request_id: str) -> bytes:
            request, call = self._accept(request_type, body, context, request_id)
            answer = await method(request, call)
            await self._stages.reach(Stage.SERVED)
            metadata = initial_metadata(request_id, *models(request, answer))
            await context.send_initial_metadata(metadata)
            return answer.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(handle)

    def _stream(
        self,
        request_type: type[pb.StreamChatCompletionRequest],
        method: Callable[[pb.StreamChatCompletionRequest, Call], AsyncGenerator[list[Event]]],
    ) -> Handler:
        # It writes rather than yields: the library does not close a generator that is suspended
        # at a `yield` when its call is cancelled.
        @_guarded
        async def handle(body: bytes, context: Context, request_id: str) -> None:
            request, call = self._accept(request_type, body, context, request_id)
            async with aclosing(method(request, call)) as reads:
                async for events in reads:
                    for event in _merged(events):
                        if event.HasField("started"):
                            models = (request.spec.model, event.started.model)
                            metadata = initial_metadata(request_id, *models)
                            await context.send_initial_metadata(metadata)
                        await context.write(event.SerializeToString())
                    del events  # a stream waits for long

        return grpc.unary_stream_rpc_method_handler(handle)

    def _accept(
        self, request_type: type[RequestT], body: bytes, context: Context, request_id: str
    ) -> tuple[RequestT, Call]:
        """Return what the port takes.

        Raises:
            ServiceError: A credential or the request is malformed; the refusal is counted.
        """
        try:
            metadata = context.invocation_metadata() or ()
            call = call_from(metadata, request_id, context.time_remaining())
            return _decode(request_type, body), call
        except Exception as error:
            reason = error.reason if isinstance(error, ServiceError) else Reason.INTERNAL
            self._metrics.refused.labels(Protocol.GRPC, reason).inc()
            raise


def _guarded(
    answer: Callable[[bytes, Context, str], Awaitable[ResultT]],
) -> Callable[[bytes, Context], Awaitable[ResultT]]:
    """Return a handler that ends every failure of `answer` in the one place that aborts."""

    async def handle(body: bytes, context: Context) -> ResultT:
        request_id = request_id_in(context.invocation_metadata() or ())
        with _caller_may_be_gone():
            try:
                return await answer(body, context, request_id)
            except ServiceError as error:
                # Its traceback has this frame, and so would stay with it.
                failure = error.with_traceback(None)
            except grpc.aio.BaseError:  # the connection is gone, there is nobody to answer
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is, its text must not go out
                _log.error("unexpected error", request_id=request_id, exc_info=error)
                failure = ServiceError.internal()
            try:
                await context.abort_with_status(to_grpc(failure, request_id))
            finally:
                del body, context, failure  # the context keeps what is raised, and that this frame
        raise AssertionError("abort raises")

    return handle


@contextmanager
def _caller_may_be_gone() -> Iterator[None]:
    """Take what could not be sent for what it is: nobody is there any more.

    The library cancels the handler of a call that has ended, by its deadline for example. What is
    sent in the moment before that fails, and the library would log it as an error with its stack.
    """
    try:
        yield
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None


def _merged(events: list[Event]) -> list[Event]:
    """Return the events, deltas that follow each other as one: a message costs 0.1 ms."""
    if len(events) == 1:
        return events
    merged: list[Event] = []
    for is_delta, group in groupby(events, lambda event: event.HasField("delta")):
        if is_delta:
            text = "".join(event.delta.text for event in group)
            merged.append(Event(delta=Event.Delta(text=text)))
        else:
            merged.extend(group)
    return merged


def _decode(request_type: type[RequestT], body: bytes) -> RequestT:
    try:
        if len(body) > _COUNTED_BYTES:
            _refuse_flood(request_type, body)
        return request_type.FromString(body)
    except DecodeError:
        name = request_type.DESCRIPTOR.name
        raise ServiceError(Reason.INVALID_FIELD, f"The request is not a {name}.") from None


def _refuse_flood(request_type: type[Message], body: bytes) -> None:
    descriptor = cast("Descriptor", request_type.DESCRIPTOR)  # the stubs name two classes of it
    if has_more_fields(body, descriptor, FIELDS_LIMIT):
        raise ServiceError(
            Reason.PAYLOAD_TOO_LARGE,
            f"The request has more than {FIELDS_LIMIT} fields.",
            metadata={"limit": str(FIELDS_LIMIT)},
        )
