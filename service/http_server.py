"""`HttpServer`: an ASGI application on a port, by uvicorn, without uvicorn's say in signals."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import uvicorn

from service.http_protocol import BoundedHttpProtocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator

    AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept: longer than proxies and SDKs keep theirs, so that it is
the client who closes and no request meets a closing connection."""

BACKLOG: Final = 2048

SEND_BUFFER: Final = 128 << 10
"""Bytes that the kernel takes off us for a client that does not read. Left to itself it takes up to
4 MiB, and with them as much of an answer that would better wait at the provider."""

CUT_MARGIN: Final = 2.0
"""Seconds that handlers get to notice that their connections were cut."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `service.lifecycle`."""
        yield


class HttpServer:
    """Serves `app` on one port; with TLS if it has a context."""

    def __init__(
        self, app: AsgiApp, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._server = _Server(_config(app, tls))

    def bind(self) -> int:
        """Take the port and return its number.

        Raises:
            OSError: It cannot be had.
        """
        family, *_, address = socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self._socket = socket.create_server(
            address[:2],
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=self._host == "::" and socket.has_dualstack_ipv6(),
        )
        # Connections inherit it.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Accept connections; `bind` came before."""
        self._serving = asyncio.create_task(self._server.serve([self._bound]), name="uvicorn")
        while not (self._server.started or self._serving.done()):  # noqa: ASYNC110  # uvicorn has no event
            await asyncio.sleep(0)

    async def wait_for_termination(self) -> None:
        """Return when the server has ended; raise what ended it."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def stop(self, grace: float) -> None:
        """Accept nothing new, let open requests end within `grace` seconds, then cut them.

        A second call with less grace shortens the first. Without `start`, the port is let go.
        """
        if self._serving is None:
            if self._socket is not None:
                self._socket.close()
            return
        self._server.config.timeout_graceful_shutdown = math.ceil(grace + CUT_MARGIN)
        self._server.should_exit = True
        done, _ = await asyncio.wait({self._serving}, timeout=grace)
        if not done:
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
        await asyncio.wait({self._serving})

    @property
    def _bound(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("bind() comes before start()")
        return self._socket


def _config(app: AsgiApp, tls: ssl.SSLContext | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(CUT_MARGIN),
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
