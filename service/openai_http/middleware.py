"""The two layers around the routes, as plain ASGI.

`Observation` is the outermost: it names the exchange, adds the headers that every answer has and
writes the one log line. `ErrorBoundary` is inside of CORS, so that web pages can read errors too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from starlette.exceptions import HTTPException

from service.call import Protocol, request_id_from
from service.errors import ServiceError
from service.openai_http.answer import send_json
from service.openai_http.disconnect import ClientDisconnected
from service.openai_http.errors import error_headers, error_json, routing_error
from service.openai_http.exchange import Exchange, header
from service.openai_http.upload import Upload
from service.readiness import State
from service.stages import Stage, Stages

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from service.observability.metrics import Metrics
    from service.readiness import Readiness

_log = structlog.get_logger(__name__)

_CLIENT_CLOSED_REQUEST: Final = 499
"""nginx's status for the log line of an exchange whose client left before the head."""


class Observation:
    """Names, times and logs each exchange; never with a key, a body or a query."""

    def __init__(self, app: ASGIApp, readiness: Readiness, stages: Stages) -> None:
        self._app = app
        self._readiness = readiness
        self._stages = stages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        exchange = Exchange(request_id_from(header(scope, b"x-request-id")))
        exchange.attach(scope)

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers(exchange)]
                await send(message)
                exchange.status = message["status"]  # known to be out, whoever cancelled its sender
            else:
                exchange.sent += len(message.get("body", b""))
                await send(message)

        try:
            await self._app(scope, receive, observe)
            exchange.end()
            await self._stages.reach(Stage.SENT)
        finally:
            _log_exchange(scope["method"], exchange)

    def _headers(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"x-request-id", exchange.request_id.encode()),
            (b"openai-processing-ms", b"%d" % exchange.elapsed_ms()),
            (b"openai-version", b"2020-10-01"),
        ]
        # A process that is about to stop asks its clients to connect elsewhere.
        if self._readiness.state in (State.DRAINING, State.STOPPING):
            headers.append((b"connection", b"close"))
        return headers


class ErrorBoundary:
    """Turns what is raised before the head was sent into OpenAI's error object.

    A body that is still on its way is taken first, unless all of it is over `discarded` bytes.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, discarded: int) -> None:
        self._app = app
        self._metrics = metrics
        self._discarded = discarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        exchange = Exchange.of(scope)
        # With an application in the scope Starlette's router raises instead of answering in text.
        scope["app"] = self
        upload = Upload(scope, receive)
        extra: list[tuple[bytes, bytes]] = []
        try:
            await self._app(scope, upload.receive, send)
        except ClientDisconnected:
            return
        except ServiceError as raised:
            # Its traceback has this frame, and so would stay with it.
            error = raised.with_traceback(None)
        except HTTPException as raised:
            error = routing_error(raised, scope["method"], scope["path"])
            extra = [(b"allow", value.encode()) for value in (raised.headers or {}).values()]
        except Exception:  # noqa: BLE001  # the last boundary: the log learns all, the caller nothing
            _log.exception("request failed", request_id=exchange.request_id)
            error = ServiceError.internal()
        else:
            return
        await upload.discard(self._discarded)
        await self._answer(error, extra, exchange, send)

    async def _answer(
        self,
        error: ServiceError,
        extra: list[tuple[bytes, bytes]],
        exchange: Exchange,
        send: Send,
    ) -> None:
        exchange.reason = error.reason
        if not exchange.reached_service:
            self._metrics.refused.labels(Protocol.HTTP, error.reason).inc()
        if exchange.status is None:
            headers = [*error_headers(error), *extra]
            await send_json(send, error.row.http_status, error_json(error), headers)


def _log_exchange(method: str, exchange: Exchange) -> None:
    _log.info(
        "request",
        request_id=exchange.request_id,
        method=method,
        route=exchange.route,
        status=exchange.status or _CLIENT_CLOSED_REQUEST,
        duration_ms=exchange.elapsed_ms(),
        model=exchange.model,
        reason=exchange.reason,
        bytes=exchange.sent,
    )
