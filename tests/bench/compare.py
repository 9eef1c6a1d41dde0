"""Two commits of the gateway side by side, in the same rounds."""

from __future__ import annotations

import statistics
import subprocess
from typing import TYPE_CHECKING, Final

from tests.bench.measure import Bench, Plan, Results
from tests.bench.targets import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.targets import World

PLAN: Final = Plan(rounds=5, seconds=2, calls=0, paced_rounds=2)

_ROWS: Final = (
    ("whole, 1 in flight", "whole/1"),
    ("whole, 32 in flight", "whole/32"),
    ("whole, 256 in flight", "whole/256"),
    ("streamed event", "event/32"),
    ("event, 500 paced", "paced/500"),
)


def run(running: World, revision: str) -> int:
    """Print what this tree costs beside `revision`; return the exit code."""
    bench = Bench(running, PLAN, Results())
    tree = _tree(revision, running.folder)
    for _ in range(PLAN.rounds):  # each with a pair of its own: processes of one code differ by 5 %
        with running.gateway("base", tree) as old, running.gateway() as new:
            bench.warm([old, new])
            bench.whole([old, new])
            bench.streamed([old, new])
            for _ in range(PLAN.paced_rounds):
                bench.paced([old, new], 500)
    print(_table(bench.results.values, revision))  # noqa: T201  # what was asked for
    return 0


def _tree(revision: str, folder: Path) -> Path:
    """Return a folder with the files of a commit; the repository is left as it is."""
    archive, tree = folder / "base.tar", folder / "base"
    command = ["git", "archive", "--format=tar", f"--output={archive}", revision]
    subprocess.run(command, cwd=ROOT, check=True)
    tree.mkdir()
    subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={tree}"], check=True)
    return tree


def _table(values: dict[str, list[float]], revision: str) -> str:
    lines = [f"{'CPU us':<24}{revision:>12}{'now':>12}{'now / then':>12}{'least..most':>16}"]
    for title, key in _ROWS:
        old, new = values[f"{key}/base"], values[f"{key}/gateway"]
        ratios = [n / o for o, n in zip(old, new, strict=True)]
        spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
        lines.append(
            f"{title:<24}{statistics.median(old):>12.1f}{statistics.median(new):>12.1f}"
            f"{statistics.median(ratios):>12.2f}{spread:>16}"
        )
    return "\n".join(lines)
