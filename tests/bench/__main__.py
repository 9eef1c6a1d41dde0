"""`python -m tests.bench`: measure the gateway beside the floor and nginx, and judge it.

Exit codes: 0 if every must holds, 1 if one is broken, 2 if nothing could be measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from tests.bench import compare
from tests.bench.figures import figures
from tests.bench.gap import measure_gap
from tests.bench.measure import FULL, MANY, QUICK, Bench, Results
from tests.bench.processes import Cores
from tests.bench.report import as_json, conditions, table
from tests.bench.targets import world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.measure import Plan
    from tests.bench.targets import Target, World

TOOLS: Final = {"wrk": "wrk", "h2load": "nghttp2-client", "nginx": "nginx-light"}
"""Programs that must be there, with the Debian packages that hold them."""


def main() -> int:
    """Run once; return the exit code."""
    options = _parser().parse_args()
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        _say(f"install first: apt-get install -y {' '.join(missing)}")
        return 2
    # By default it would leave the servers running, and they would be in the next one's figures.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cores = Cores.of_this_machine()
    where = conditions(cores)
    if cores.loading is not None:
        os.sched_setaffinity(0, {cores.loading})
    with tempfile.TemporaryDirectory() as folder, world(cores, Path(folder)) as running:
        if options.base:
            return compare.run(running, options.base)
        return _run(running, QUICK if options.quick else FULL, where, options.json)


def _run(running: World, plan: Plan, where: dict[str, object], json: Path | None) -> int:
    bench = Bench(running, plan, Results())
    _measure(bench)
    values = dict(bench.results.values)
    print(table(values, where))  # noqa: T201  # what was asked for
    if json:
        json.write_bytes(orjson.dumps(as_json(values, where), option=orjson.OPT_INDENT_2))
    return 0 if all(figure.holds for figure in figures(values)) else 1


def _measure(bench: Bench) -> None:
    with ExitStack() as running:
        enter = running.enter_context
        gateway = enter(bench.world.gateway())
        bench.results.add("idle/gateway", gateway.server.memory())
        provider = bench.world.provider
        nginx, floor, split, bare = (
            enter(server())
            for server in (
                bench.world.nginx,
                bench.world.floor,
                bench.world.split,
                bench.world.bare_grpc,
            )
        )
        bench.warm([provider, nginx, floor, gateway, split])
        for number in range(bench.plan.rounds):
            _say(f"round {number + 1} of {bench.plan.rounds}, as fast as possible")
            with _pair(bench) as pair:
                bench.whole(pair, [32])
            bench.whole([floor, gateway], [1, 256])
            bench.whole([provider, nginx, split], [32])
            bench.streamed([provider, nginx, floor, gateway, split])
            bench.tokens(gateway)
            bench.grpc(gateway, bare)
        bench.paced_awake([nginx, floor, gateway], 500)
        for number in range(bench.plan.paced_rounds):
            _say(f"round {number + 1} of {bench.plan.paced_rounds}, paced")
            bench.paced([provider, nginx, floor, gateway, split], 50)
            bench.paced([nginx, floor, gateway, split], 500)
            bench.paced([floor, gateway], MANY)
            bench.start()
            measure_gap(bench)
        bench.results.add("after/gateway", gateway.server.memory())


@contextmanager
def _pair(bench: Bench) -> Iterator[list[Target]]:
    """Run a floor and a gateway of one round's own: two processes of one code differ by 5 %."""
    with bench.world.floor() as floor, bench.world.gateway() as gateway:
        bench.warm([floor, gateway])
        yield [floor, gateway]


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)  # noqa: T201  # a command line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="two minutes instead of ten")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values to a file, too")
    parser.add_argument("--base", metavar="REV", help="only compare with the gateway of a commit")
    return parser


if __name__ == "__main__":
    sys.exit(main())
