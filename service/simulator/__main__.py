"""`python -m service.simulator`: the simulator as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from service.simulator.app import Simulator
from service.simulator.faults.menu import markdown


def main() -> int:
    """Run until SIGINT or SIGTERM; return the exit code."""
    options = _options()
    if options.faults:
        print(markdown())  # noqa: T201  # printing is what the option is for
        return 0
    try:
        asyncio.run(_serve(options.host, options.port, options.chunk_delay))
    except OSError as error:
        reason = f"cannot listen on {options.host}:{options.port}: {error.strerror or error}"
        print(f"simulator: {reason}", file=sys.stderr)  # noqa: T201  # a command line's error
        return 1
    return 0


async def _serve(host: str, port: int, chunk_delay: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(chunk_delay=chunk_delay).running(host, port) as simulator:
        line = f"simulator listening on {simulator.url}"
        print(line, flush=True)  # noqa: T201  # the line a parent process waits for
        await stop.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m service.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=8787, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--chunk-delay",
        type=_delay,
        default=0.02,
        metavar="S",
        help="seconds between two events of a stream (%(default)s)",
    )
    parser.add_argument("--faults", action="store_true", help="print the fault menu and exit")
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:  # noqa: PLR2004  # the range of TCP ports
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _delay(text: str) -> float:
    try:
        delay = float(text)
    except ValueError:
        delay = -1.0
    if not 0 <= delay <= 60:  # noqa: PLR2004  # a minute between two words is slow enough
        raise argparse.ArgumentTypeError(f"{text!r} is not a time of 0 to 60 seconds")
    return delay


if __name__ == "__main__":
    sys.exit(main())
