"""`RemoteInference`: an `InferenceApi` whose service runs in another process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeVar

import grpc.aio
import structlog

from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.errors import Reason, ServiceError
from service.readiness import State
from service.rpc.credentials import channel_credentials
from service.rpc.metadata import metadata_from
from service.rpc.server import MESSAGE_SLACK
from service.rpc.servicer import SERVICE
from service.rpc.status import UNREACHABLE, foreign, rebuilt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from onemin.inference.v1 import inference_service_pb2 as pb
    from service.call import Call
    from service.readiness import Readiness
    from service.settings import Settings

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_log = structlog.get_logger("service.rpc")

_RETRY_SECONDS: Final = 1.0

# Without a retry policy: a generation that is made again is billed again.
_SERVICE_CONFIG: Final = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": SERVICE},
    }
)


class RemoteInference:
    """The service over a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub = InferenceServiceStub(channel)

    async def create_chat_completion(
        self, request: pb.CreateChatCompletionRequest, call: Call
    ) -> pb.CreateChatCompletionResponse:
        """See `InferenceApi`."""
        return await self._unary(self._stub.CreateChatCompletion, request, call)

    async def stream_chat_completion(
        self, request: pb.StreamChatCompletionRequest, call: Call
    ) -> AsyncGenerator[list[pb.StreamChatCompletionResponse]]:
        """See `InferenceApi`."""
        self._check()
        rpc = self._stub.StreamChatCompletion(
            request, timeout=call.remaining(), metadata=metadata_from(call)
        )
        try:
            async for event in rpc:
                yield [event]
        except grpc.aio.AioRpcError as error:
            raise _failure(error, call) from None
        finally:
            rpc.cancel()

    async def list_models(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        """See `InferenceApi`."""
        return await self._unary(self._stub.ListModels, request, call)

    async def get_model(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        """See `InferenceApi`."""
        return await self._unary(self._stub.GetModel, request, call)

    async def count_tokens(
        self, request: pb.CountTokensRequest, call: Call
    ) -> pb.CountTokensResponse:
        """See `InferenceApi`."""
        return await self._unary(self._stub.CountTokens, request, call)

    async def _unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        call: Call,
    ) -> ResponseT:
        self._check()
        try:
            return await method(request, timeout=call.remaining(), metadata=metadata_from(call))
        except grpc.aio.AioRpcError as error:
            raise _failure(error, call) from None

    def _check(self) -> None:
        """Refuse what the library would refuse as well: here it is known that nothing was sent.

        Raises:
            ServiceError: `UPSTREAM_UNAVAILABLE`, with the hint that a retry is safe.
        """
        state = self._channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            raise ServiceError(Reason.UPSTREAM_UNAVAILABLE, UNREACHABLE, retry_after=_RETRY_SECONDS)


def open_channel(settings: Settings) -> grpc.aio.Channel:
    """Return a channel to `settings.grpc_target`; it dials when it is first used.

    Calls go round all processes behind the name that say they are ready.

    Raises:
        OSError: A TLS file cannot be read.
    """
    credentials = channel_credentials(settings)
    options = _channel_options(settings)
    if credentials is None:
        return grpc.aio.insecure_channel(settings.grpc_target, options)
    return grpc.aio.secure_channel(settings.grpc_target, credentials, options)


async def watch_health(channel: grpc.aio.Channel, readiness: Readiness) -> None:
    """Keep `readiness` at that of the far side, until cancelled.

    A channel of `open_channel` is connected only to processes that report the service as SERVING,
    so that its state is their health; it dials again, with growing pauses, by itself.
    """
    while True:
        state = channel.get_state(try_to_connect=True)
        is_ready = state is grpc.ChannelConnectivity.READY
        readiness.move_to(State.READY if is_ready else State.STARTING)
        await channel.wait_for_state_change(state)


def _failure(error: grpc.aio.AioRpcError, call: Call) -> ServiceError:
    failure = rebuilt(error)
    if failure is None:
        failure = foreign(error)
        _log.warning(
            "call to the far side failed",
            request_id=call.request_id,
            code=error.code().name,
            details=error.details(),
        )
    return failure


def _channel_options(settings: Settings) -> list[tuple[str, int | str]]:
    message_limit = settings.max_body_bytes + MESSAGE_SLACK
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.max_receive_message_length", message_limit),
        ("grpc.max_send_message_length", message_limit),
        # Above the server's minimum, or it answers with GOAWAY too_many_pings.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # The default of 120 s leaves this side unready long after the far side is back.
        ("grpc.max_reconnect_backoff_ms", 10_000),
        # Or a new channel would begin with the failure of another to the same address.
        ("grpc.use_local_subchannel_pool", 1),
        # The hop carries keys: it never leaves through a proxy that the environment names.
        ("grpc.enable_http_proxy", 0),
    ]
