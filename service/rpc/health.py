"""`grpc.health.v1` over the one state of readiness.

The empty name is liveness and stays SERVING; the full name of the service is readiness. The
library's own servicer is not used: it holds a lock while it writes to a watcher, so that one which
does not read stops every change, and its open Watches make a graceful stop last its whole grace.

Protocol: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc.aio
from grpc_health.v1 import (  # type: ignore[import-untyped]  # no py.typed
    health_pb2 as pb,
)
from grpc_health.v1 import health_pb2_grpc

from service.readiness import State
from service.rpc.servicer import SERVICE

if TYPE_CHECKING:
    from service.readiness import Readiness

    Context: TypeAlias = grpc.aio.ServicerContext[pb.HealthCheckRequest, pb.HealthCheckResponse]

_SERVING: Final = pb.HealthCheckResponse.SERVING
_NOT_SERVING: Final = pb.HealthCheckResponse.NOT_SERVING


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # no py.typed
    """Answers probes and watchers; watchers are let go when the process is stopping."""

    def __init__(self, readiness: Readiness) -> None:
        self._statuses = {"": _SERVING, SERVICE: _NOT_SERVING}
        self._stopping = False
        self._changed = asyncio.Event()
        readiness.listen(self._on_state)

    async def Check(  # noqa: N802  # the name of the RPC
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        """Answer the health of one service."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return pb.HealthCheckResponse(status=status)

    async def List(  # noqa: N802  # the name of the RPC
        self, _request: pb.HealthListRequest, _context: Context
    ) -> pb.HealthListResponse:
        """Answer the health of all services."""
        responses = {
            name: pb.HealthCheckResponse(status=status) for name, status in self._statuses.items()
        }
        return pb.HealthListResponse(statuses=responses)

    async def Watch(  # noqa: N802  # the name of the RPC
        self, request: pb.HealthCheckRequest, context: Context
    ) -> None:
        """Tell the health of one service, and again at each change."""
        told = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, pb.HealthCheckResponse.SERVICE_UNKNOWN)
            if status != told:
                await context.write(pb.HealthCheckResponse(status=status))
                told = status
            if self._stopping:
                return
            await changed.wait()

    def _on_state(self, state: State) -> None:
        self._statuses[SERVICE] = _SERVING if state is State.READY else _NOT_SERVING
        self._stopping = state is State.STOPPING
        self._changed.set()
        self._changed = asyncio.Event()
