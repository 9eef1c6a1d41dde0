"""`python -m tests.bench.peer COMMAND ...`: what another gateway takes for the load of the benchmark.

COMMAND starts it; `{provider}` in it becomes the port of a provider of OpenAI's wire, `{port}` that
where it is asked. It gets the core of what is measured, and one gateway of this tree takes turns with
it. It must be one process, and need no key.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import load
from tests.bench.measure import Results
from tests.bench.processes import Cores, Server, free_port, started, until_listening
from tests.bench.targets import ROOT, Target, World, world

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS: Final = 3

SECONDS: Final = 6
"""Of each load: 32 streams of a peer may take most of them."""


def main() -> None:
    """Run once and print the figures."""
    parser = argparse.ArgumentParser(prog="peer")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="starts the peer, in one process")
    command = parser.parse_args().command or parser.error("which command starts the peer?")
    cores = Cores.of_this_machine()
    if cores.loading is not None:
        os.sched_setaffinity(0, {cores.loading})
    results = Results()
    with (
        tempfile.TemporaryDirectory() as folder,
        world(cores, Path(folder)) as running,
        _peer(running, command) as peer,
        running.gateway() as gateway,
    ):
        for warm_up in (True, *[False] * ROUNDS):
            for target in (peer, gateway):
                _measure(running, target, Results() if warm_up else results)
    print(_table(results.values))  # noqa: T201  # what was asked for


def _measure(running: World, target: Target, results: Results) -> None:
    files = running.requests
    for stream, bodies in ((False, files.fresh), (True, files.fresh_streams)):
        cost = load.http(
            running, target, in_flight=32, seconds=SECONDS, bodies=bodies, stream=stream
        )
        kind = "stream" if stream else "whole"
        results.add(f"{kind}/{target.name}", cost.cpu)
        results.add(f"{kind} rate/{target.name}", cost.rate)
    results.add(f"memory/{target.name}", target.server.memory())


@contextmanager
def _peer(running: World, command: list[str]) -> Iterator[Target]:
    cores, folder = running.cores, running.folder
    provider, port = free_port(), free_port()
    serve = [sys.executable, "-m", "tests.bench.openai_provider", "--port", str(provider)]
    filled = [part.format(provider=provider, port=port) for part in command]
    with (
        started(serve, core=cores.loading, log=folder / "openai.log", cwd=ROOT),
        started(filled, core=cores.measured, log=folder / "peer.log", cwd=folder) as pid,
    ):
        until_listening(provider)
        until_listening(port)
        yield Target("peer", Server((pid,)), port)


def _table(values: dict[str, list[float]]) -> str:
    rows = (
        ("whole, 32 in flight, CPU ms", "whole", 1e3),
        ("whole answers a second", "whole rate", 1),
        ("streamed event, CPU us", "stream", load.EVENTS),
        ("events a second", "stream rate", 1 / load.EVENTS),
        ("memory, MiB", "memory", 1),
    )
    lines = [f"{'medians':<28}{'peer':>12}{'gateway':>12}"]
    for title, key, unit in rows:
        found = (statistics.median(values[f"{key}/{name}"]) / unit for name in ("peer", "gateway"))
        lines.append(f"{title:<28}" + "".join(f"{value:>12.3g}" for value in found))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
