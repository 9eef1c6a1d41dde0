"""`build_app`: the routes of the OpenAI door and the layers around them."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from service.openai_http.chat import ChatCompletions
from service.openai_http.exchange import Exchange, header
from service.openai_http.middleware import ErrorBoundary, Observation
from service.openai_http.models import Models
from service.openai_http.openapi import document
from service.openai_http.writer import Silence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from service.inference.api import InferenceApi
    from service.observability.metrics import Metrics
    from service.readiness import Readiness
    from service.settings import Settings
    from service.stages import Stages

_DISTRIBUTION: Final = "onemin-gateway"
_DISCARDED_BODIES: Final = 2
"""How many times the largest body is taken, and dropped, so that its client sees the refusal."""

_EXPOSED: Final = (
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-onemin-ignored-params",
    "x-onemin-model-substituted",
    "x-request-id",
    "x-should-retry",
)


def build_app(
    api: InferenceApi,
    settings: Settings,
    metrics: Metrics,
    readiness: Readiness,
    stages: Stages,
) -> ASGIApp:
    """Return the OpenAI door as an ASGI application.

    Args:
        api: The port; the only thing of the core that this door knows.
        settings: Limits, how silence is filled and the web origins that may call.
        metrics: Where refusals before the port are counted.
        readiness: A process that is stopping asks its clients to connect elsewhere.
        stages: Where calls wait for each other.
    """
    app: ASGIApp = ErrorBoundary(
        Routes(api, settings, stages),
        metrics,
        discarded=_DISCARDED_BODIES * settings.max_body_bytes,
    )
    if settings.cors_origins:
        app = _CrossOrigin(app, settings.cors_origins)
    return Observation(app, readiness, stages)


class _CrossOrigin:
    """Only web pages name an origin: what has none goes past CORS, at no cost."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "OPTIONS"),
            # The SDKs send a dozen headers of their own: those asked for are allowed.
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=_EXPOSED,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._app if header(scope, b"origin") is None else self._cors
        return app(scope, receive, send)


class Routes:
    """Finds the endpoint of a path, with or without a slash at its end."""

    def __init__(self, api: InferenceApi, settings: Settings, stages: Stages) -> None:
        chat = ChatCompletions(
            api,
            max_body_bytes=settings.max_body_bytes,
            silence=Silence(settings.keepalive_interval, settings.early_head_after),
            stages=stages,
        )
        models = Models(api)
        description = _Description()
        routes = [
            _LoggedRoute("/v1/chat/completions", chat, methods=["POST"]),
            _LoggedRoute("/v1/models", models.list_all, methods=["GET"]),
            _LoggedRoute("/v1/models/{model_id:path}", models.get, methods=["GET"]),
            _LoggedRoute("/health", _health, methods=["GET"]),
            _LoggedRoute("/", _About().get, methods=["GET"]),
            _LoggedRoute("/openapi.json", description.get, methods=["GET"]),
        ]
        description.write(route.path for route in routes)
        self._router = Router(routes, redirect_slashes=False)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request.

        Raises:
            HTTPException: There is no such path (404), or not with this method (405).
        """
        # In the raw path, because a model id may end with an encoded slash.
        if scope["raw_path"].endswith(b"/") and scope["path"] != "/":
            scope["path"] = scope["path"][:-1]
        return self._router(scope, receive, send)


class _LoggedRoute(Route):
    """A route that tells the log its template."""

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        Exchange.of(scope).route = self.path
        return super().handle(scope, receive, send)


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


class _About:
    """`GET /`: what this is; read once, because the version is looked up on disk."""

    def __init__(self) -> None:
        self._answer = {
            "name": _DISTRIBUTION,
            "version": version(_DISTRIBUTION),
            "endpoints": {
                "chat": "/v1/chat/completions",
                "models": "/v1/models",
                "health": "/health",
                "openapi": "/openapi.json",
            },
        }

    async def get(self, _: Request) -> Response:
        return JSONResponse(self._answer)


class _Description:
    """`GET /openapi.json`: written once, when all routes are known."""

    def write(self, paths: Iterable[str]) -> None:
        self._answer = orjson.dumps(document(paths, version(_DISTRIBUTION)))

    async def get(self, _: Request) -> Response:
        return Response(self._answer, media_type="application/json")
