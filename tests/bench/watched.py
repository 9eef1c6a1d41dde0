"""The gateway with a watch on its event loop: how late a timer of one millisecond came at worst.

Takes the gateway's variables, and `BENCH_GAP_PORT`: a connection to it is told the worst lateness
since the last one, in seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from service import app, lifecycle
from service.observability import logging
from service.settings import load

TICK = 0.001


def main() -> int:
    """Run the gateway; return its exit code."""
    return uvloop.run(_run())


async def _run() -> int:
    settings = load(os.environ)
    logging.configure(settings.log_level)
    watch = _Watch()
    server = await asyncio.start_server(watch.tell, "127.0.0.1", int(os.environ["BENCH_GAP_PORT"]))
    async with server:
        ticking = asyncio.create_task(watch.tick())
        code = await lifecycle.run(app.build(settings), settings)
        ticking.cancel()
    return code


class _Watch:
    def __init__(self) -> None:
        self._worst = 0.0

    async def tick(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + TICK
            await asyncio.sleep(TICK)
            self._worst = max(self._worst, clock() - due)

    async def tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%f" % self._worst)
        self._worst = 0.0
        writer.close()


if __name__ == "__main__":
    sys.exit(main())
