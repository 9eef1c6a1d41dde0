"""The operations port: `/livez`, `/readyz` and `/metrics`, for the platform alone.

It is apart from the doors, so that nothing of it can be reached through them, and stays up until
they are closed. Nothing here asks for a key and nothing shows one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from service.observability.metrics import Metrics
    from service.readiness import Readiness


def build_operations(metrics: Metrics, readiness: Readiness) -> ASGIApp:
    """Return the application of the operations port."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        status = 200 if readiness.is_ready else 503
        return PlainTextResponse(f"{readiness.state.value}\n", status)

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", exposition)]
    return Router(routes, redirect_slashes=False)
