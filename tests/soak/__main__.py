"""`python -m tests.soak`: load both doors with calls that end well and badly, and judge the end.

Exit codes: 0 if all that must hold does, 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.soak.report import checks, table
from tests.soak.run import soak


def main() -> int:
    """Run once; return the exit code."""
    options = _parser().parse_args()
    result = asyncio.run(
        soak(
            seconds=options.seconds,
            in_flight=options.in_flight,
            split=options.split,
            seed=options.seed,
        )
    )
    print(table(result))  # noqa: T201  # what was asked for
    return 0 if all(check.holds for check in checks(result)) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument(
        "--seconds", type=float, default=300, help="of load; rests take up to two minutes more"
    )
    parser.add_argument("--in-flight", type=int, default=32, metavar="N", help="calls at a time")
    parser.add_argument("--split", action="store_true", help="roles http and grpc, two processes")
    parser.add_argument("--seed", type=int, default=1, help="of the order of calls")
    return parser


if __name__ == "__main__":
    sys.exit(main())
