"""The simulator as a process that can be asked what it has seen, on a second port.

`GET /seen/KEY` answers once a request with that key has come; `GET /counts` gives the totals.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from itertools import islice

from aiohttp import web

from service.simulator import Simulator

PATIENCE = 30.0
"""Seconds that a request may take from the client through the gateway."""

RECENT = 300
"""Exchanges that are looked through for a key: a multiple of what is in flight."""


async def _serve(port: int, watch_port: int) -> None:
    async with Simulator().running(port=port) as simulator:
        application = web.Application()
        watch = _Watch(simulator)
        application.router.add_get("/seen/{key}", watch.seen)
        application.router.add_get("/counts", watch.counts)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", watch_port).start()
        await asyncio.Event().wait()


class _Watch:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def seen(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        await self._simulator.until(lambda: self._is_seen(key), PATIENCE)
        return web.Response()

    def _is_seen(self, key: str) -> bool:
        recent = islice(reversed(self._simulator.seen), RECENT)
        return any(exchange.headers.get("API-KEY") == key for exchange in recent)

    async def counts(self, _: web.Request) -> web.Response:
        return web.json_response(self._simulator.counts())


def main() -> None:
    """Serve until the process is ended."""
    # It shows a stack trace for each client that leaves while an answer is written.
    logging.getLogger("aiohttp.server").disabled = True
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--watch-port", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.port, options.watch_port))


if __name__ == "__main__":
    main()
