"""What a benchmark says in the end: one table for people, one JSON object for machines."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.figures import figures
from tests.bench.measure import IN_FLIGHT, MANY
from tests.bench.targets import ROOT

if TYPE_CHECKING:
    from tests.bench.figures import Values
    from tests.bench.processes import Cores

_PACKAGES: Final = ("aiohttp", "grpcio", "httptools", "protobuf", "starlette", "uvicorn", "uvloop")
_TARGETS: Final = ("provider", "nginx", "floor", "gateway", "split")


def conditions(cores: Cores) -> dict[str, Any]:
    """Return what ran where, and when."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).isoformat(timespec="minutes"),
        "revision": _said_by("git", "describe", "--always", "--dirty"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "pinned": cores.measured is not None,
        "load_before": round(os.getloadavg()[0], 2),
        "python": f"{platform.python_version()} of {sys.base_prefix}",
        "packages": {name: version(name) for name in _PACKAGES},
        "nginx": _said_by("nginx", "-v").rpartition("/")[2],
    }


def table(values: Values, where: dict[str, Any]) -> str:
    """Return the figures beside their budgets, then what they are made of."""
    return "\n".join([*_conditions(where), "", *_budgets(values), "", *_measured(values)])


def as_json(values: Values, where: dict[str, Any]) -> dict[str, Any]:
    """Return all that `compare` needs, and what people may want to look up."""
    shown = [figure.as_json() for figure in figures(values)]
    return {"conditions": where, "figures": shown, "values": values}


def _conditions(where: dict[str, Any]) -> list[str]:
    pinned = "pinned to one core" if where["pinned"] else "NOT PINNED to a core"
    lines = [
        f"{where['date']}  {where['revision']}  {where['cores']} x {where['processor']}, {pinned}",
        f"CPython {where['python']}  nginx {where['nginx']}  "
        + "  ".join(f"{name} {number}" for name, number in where["packages"].items()),
    ]
    if where["load_before"] > 0.5:
        lines.append(f"The machine was not quiet: load {where['load_before']} before the start.")
    return lines


def _budgets(values: Values) -> list[str]:
    lines = [f"{'#':>2}  {'figure':<32}{'value':>9}{'least..most':>18}{'must':>8}{'aim':>8}"]
    for figure in figures(values):
        spread = f"{_short(figure.least)}..{_short(figure.most)}"
        lines.append(
            f"{figure.row:>2}  {figure.name:<32}{_short(figure.value) + figure.unit:>9}"
            f"{spread:>18}{figure.must:>8g}{figure.aim:>8g}  {figure.verdict}"
        )
    return lines


def _measured(values: Values) -> list[str]:
    rows = (
        *((f"whole, {n} in flight, CPU us", f"whole/{n}") for n in IN_FLIGHT),
        ("requests a second, 32 in flight", "rate/32"),
        ("streamed event, CPU us", "event/32"),
        ("event, 50 paced, CPU us", "paced/50"),
        ("event, 500 paced, CPU us", "paced/500"),
        (f"event, {MANY} paced, CPU us", f"paced/{MANY}"),
        ("the same of 500, cores kept awake", "awake/500"),
        ("first text later, 50 paced, ms", "first/50"),
        ("first text later, 500 paced, ms", "first/500"),
        ("event later, 50 paced, p50 ms", "late/50"),
        ("event later, 500 paced, p50 ms", "late/500"),
        ("event later, 500 paced, p99 ms", "late99/500"),
        (f"total / ideal, {MANY} open", f"total/{MANY}"),
        (f"streams that finished, of {MANY}", f"finished/{MANY}"),
        (f"memory at {MANY} open, MiB", f"memory/{MANY}"),
        ("memory idle, MiB", "idle"),
        ("memory after, MiB", "after"),
        ("gRPC call, CPU us", "grpc/32"),
        ("gRPC message, CPU us", "message/32"),
        ("CPU to readiness, s", "ready/cpu"),
        ("gap with streams alone, ms", "gap/quiet"),
    )
    lines = [f"{'medians':<36}" + "".join(f"{name:>10}" for name in _TARGETS)]
    for title, key in rows:
        cells = (values.get(f"{key}/{target}") for target in _TARGETS)
        shown = (_short(statistics.median(cell)) if cell else "-" for cell in cells)
        lines.append(f"{title:<36}" + "".join(f"{cell:>10}" for cell in shown))
    bare = values.get("message/32/bare")
    if bare:
        lines.append(f"{'bare gRPC message, CPU us':<36}{_short(statistics.median(bare)):>10}")
    return lines


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _said_by(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
