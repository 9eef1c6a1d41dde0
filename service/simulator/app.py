"""The simulator as a server: routes, the record of what it saw, start and stop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from service.simulator.chat_request import read_document
from service.simulator.delivery import Delivery, deliver
from service.simulator.faults import refusals
from service.simulator.provider import ModelsMode, Provider, canned_delivery
from service.simulator.traffic import MAX_KEPT_BODY, Exchange, Traffic

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncIterator, Callable

    from aiohttp.web_protocol import RequestHandler

MAX_BODY = 16 * 1024 * 1024
_BACKLOG = 1_024
_STOP_SECONDS = 2.0


class Simulator:
    """A 1min.ai on one port; see the package for what it is.

    ```
    async with Simulator().running() as simulator:
        ...  # talk to simulator.url
        await simulator.until(lambda: simulator.seen[-1].state == "aborted")
    ```

    `chunk_delay` (seconds between events) and `models` (the form of `GET /models`) are those of
    `Provider`. `url` is set while it runs.
    """

    def __init__(self, *, chunk_delay: float = 0.0, models: ModelsMode = "object") -> None:
        self.url = ""
        self._provider = Provider(chunk_delay=chunk_delay, models=models)
        self._traffic = Traffic()
        self._answering: set[asyncio.Task[object]] = set()

    @property
    def seen(self) -> deque[Exchange]:
        """The last 1,000 exchanges, oldest first."""
        return self._traffic.seen

    def counts(self) -> dict[str, object]:
        """Return `open`, `finished`, `aborted`, `connections` and `paths` since the start."""
        return self._traffic.counts()

    async def until(
        self,
        predicate: Callable[[], object],
        timeout: float = 5.0,  # noqa: ASYNC109  # the callers are tests, and read better with it
    ) -> None:
        """Wait until `predicate()` is true; it is asked again whenever an exchange changes.

        Raises:
            TimeoutError: it was not true within `timeout` seconds.
        """
        await self._traffic.until(predicate, timeout)

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Simulator]:
        """Serve until the block is left, then end open answers at once; port 0 takes a free one.

        Raises:
            OSError: the address is taken or not ours.
        """
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_STOP_SECONDS,
        )
        await runner.setup()
        try:
            server = await self._listen(runner, host, port)
            try:
                yield self
            finally:
                server.close()
                await self._stop_answering()
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner, host: str, port: int) -> asyncio.Server:
        protocol_factory = runner.server
        if protocol_factory is None:
            raise AssertionError("set up by our caller")

        def connect() -> RequestHandler:
            self._traffic.connected()
            return protocol_factory()

        loop = asyncio.get_running_loop()
        server = await loop.create_server(connect, host, port, backlog=_BACKLOG)
        address, bound = server.sockets[0].getsockname()[:2]
        self.url = f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
        return server

    async def _stop_answering(self) -> None:
        for task in self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering, timeout=_STOP_SECONDS)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_get("/_simulator/state", self._show_counts)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _show_counts(self, _request: web.Request) -> web.Response:
        return web.json_response(self.counts())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        exchange = Exchange(request.method, request.path, request.query, request.headers)
        self._traffic.begin(exchange)
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("aiohttp runs handlers in tasks")
        self._answering.add(task)
        try:
            delivery = await self._answer(request, exchange)
            response = await deliver(
                request, delivery, lambda: self._traffic.end(exchange, "finished")
            )
            self._traffic.end(exchange, "finished")
            return response
        finally:
            self._answering.discard(task)
            self._traffic.end(exchange, "aborted")

    async def _answer(self, request: web.Request, exchange: Exchange) -> Delivery:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return canned_delivery(refusals.TOO_LARGE)
        if len(body) <= MAX_KEPT_BODY:
            exchange.body = read_document(body)
        api_key = request.headers.get("API-KEY", "")
        match (request.method, request.path):
            case ("POST", "/api/chat-with-ai"):
                streaming = request.query.get("isStreaming") == "true"
                return self._provider.chat(api_key, body, streaming=streaming)
            case ("GET", "/models"):
                return self._provider.list_models(api_key, request.query.get("feature"))
        return canned_delivery(refusals.NOT_FOUND)
