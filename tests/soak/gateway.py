"""The gateway with a count of its tasks, which no door shows.

Takes the gateway's variables, and `SOAK_WATCH_PORT`: a connection to it is told how many asyncio
tasks there are, without the one that tells.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from service import app, lifecycle, open_files
from service.observability import logging
from service.settings import load


def main() -> int:
    """Run the gateway; return its exit code."""
    return uvloop.run(_run())


async def _run() -> int:
    settings = load(os.environ)
    logging.configure(settings.log_level)
    open_files.make_room(settings.max_in_flight)
    async with await asyncio.start_server(_tell, "127.0.0.1", int(os.environ["SOAK_WATCH_PORT"])):
        return await lifecycle.run(app.build(settings), settings)


async def _tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"%d" % (len(asyncio.all_tasks()) - 1))
    writer.close()


if __name__ == "__main__":
    sys.exit(main())
