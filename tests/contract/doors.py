"""A gRPC door around any port, on a free port of this machine."""

from __future__ import annotations

from contextlib import asynccontextmanager

from service.rpc.server import GrpcServer
from service.settings import load
from service.stages import Stages


def chosen(**variables):
    """Return settings; names are those of the variables without their prefix."""
    return load({f"ONE_MIN_{name.upper()}": str(value) for name, value in variables.items()})


@asynccontextmanager
async def serving(api, metrics, readiness, **variables):
    """Serve `api`; yield the address and the server."""
    server = GrpcServer(api, chosen(**{"grpc_port": 0} | variables), metrics, readiness, Stages())
    port = server.bind()
    await server.start()
    try:
        yield f"127.0.0.1:{port}", server
    finally:
        await server.stop(0)
