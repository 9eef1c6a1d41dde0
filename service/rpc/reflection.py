"""gRPC reflection under both of its names."""

from __future__ import annotations

from typing import Final

import grpc.aio
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]  # no py.typed
from grpc_reflection.v1alpha import (  # type: ignore[import-untyped]  # no py.typed
    reflection,
    reflection_pb2,
)

from service.rpc.servicer import SERVICE

_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_NAMES: Final = (reflection.SERVICE_NAME, "grpc.reflection.v1.ServerReflection")


def add_reflection(server: grpc.aio.Server) -> None:
    """Serve reflection as `v1alpha`, which the library knows, and as `v1`.

    The messages of the two are the same on the wire, so that one servicer answers both.
    """
    servicer = reflection.aio.ReflectionServicer((SERVICE, _HEALTH, reflection.SERVICE_NAME))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
        for name in _NAMES
    )
