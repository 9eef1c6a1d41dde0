"""A gRPC door around any port, on a free port of this machine."""

from __future__ import annotations

from contextlib import asynccontextmanager

from service.rpc.server import GrpcServer
from service.settings import load


@asynccontextmanager
async def serving(api, metrics, readiness, **variables):
    """Serve `api` and yield the address; `variables` are settings without their prefix."""
    environ = {f"ONE_MIN_{name.upper()}": str(value) for name, value in variables.items()}
    server = GrpcServer(api, load({"ONE_MIN_GRPC_PORT": "0"} | environ), metrics, readiness)
    port = server.bind()
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def hop(target, **variables):
    """Return the settings of a process that dials `target`."""
    environ = {f"ONE_MIN_{name.upper()}": str(value) for name, value in variables.items()}
    return load({"ONE_MIN_GRPC_TARGET": target} | environ)
