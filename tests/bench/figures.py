"""The figures and their budgets: how each is made of what was measured.

A figure is made for each round, of values of that round; the median counts, and the least and the
most are shown. A budget is broken when the median is over it.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.bench.measure import MANY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Values = dict[str, list[float]]


@dataclass(frozen=True)
class Figure:
    """One figure beside its budget.

    Attributes:
        row: The number of its budget.
        value, least, most: Of the rounds.
        must, aim: What it may be at most, or at least if `is_floor`.
    """

    row: str
    name: str
    value: float
    least: float
    most: float
    must: float
    aim: float
    unit: str
    is_floor: bool = False

    @property
    def holds(self) -> bool:
        """Whether the must holds."""
        return self._within(self.must)

    @property
    def verdict(self) -> str:
        """Return what to say of it."""
        if not self.holds:
            return "BROKEN"
        return "aim" if self._within(self.aim) else "must"

    def as_json(self) -> dict[str, Any]:
        """Return it for a file."""
        return asdict(self) | {"verdict": self.verdict}

    def _within(self, bound: float) -> bool:
        return self.value >= bound if self.is_floor else self.value <= bound


@dataclass(frozen=True)
class Budget:
    """A row of the table of budgets.

    Attributes:
        of: Makes the value of each round.
    """

    row: str
    name: str
    of: Callable[[Values], Iterator[float]]
    must: float
    aim: float
    unit: str = "x"
    is_floor: bool = False

    def figure(self, values: Values) -> Figure | None:
        """Return the figure; None if what it is made of was not measured."""
        try:
            rounds = list(self.of(values))
        except KeyError:
            return None
        middle = statistics.median(rounds)
        shown = (middle, min(rounds), max(rounds))
        return Figure(self.row, self.name, *shown, self.must, self.aim, self.unit, self.is_floor)


def ratio(above: str, below: str) -> Callable[[Values], Iterator[float]]:
    """Make the ratio of two keys."""
    return lambda values: (a / b for a, b in zip(values[above], values[below], strict=True))


def plain(key: str) -> Callable[[Values], Iterator[float]]:
    """Take a key as it is."""
    return lambda values: iter(values[key])


def _streams_per_100_mib(values: Values) -> Iterator[float]:
    idle = values["idle/gateway"][0]
    return (MANY * 100 / (memory - idle) for memory in values[f"memory/{MANY}/gateway"])


def _growth(values: Values) -> Iterator[float]:
    return (100 * (after / values["idle/gateway"][0] - 1) for after in values["after/gateway"])


def _share_of_tokens(counting: str, known: str) -> Callable[[Values], Iterator[float]]:
    return lambda values: (
        100 * (1 - without / with_)
        for with_, without in zip(values[counting], values[known], strict=True)
    )


BUDGETS: Final = (
    Budget("1", "whole, 32 in flight / floor", ratio("whole/32/gateway", "whole/32/floor"), 2, 1.5),
    Budget(
        "2", "whole, 256 in flight / at 1", ratio("whole/256/gateway", "whole/1/gateway"), 1.3, 1.0
    ),
    Budget("3", "streamed event / floor", ratio("event/32/gateway", "event/32/floor"), 2.2, 1.5),
    Budget(
        "4", "event, 500 paced / nginx", ratio("paced/500/gateway", "paced/500/nginx"), 5, 3.5
    ),
    Budget(
        "5", "first text, 50 paced / nginx", ratio("first/50/gateway", "first/50/nginx"), 8, 5
    ),
    Budget("6", f"total / ideal, {MANY} open", plain(f"total/{MANY}/gateway"), 1.10, 1.03),
    Budget("7", "streams in 100 MiB", _streams_per_100_mib, 1200, 1800, "", is_floor=True),
    Budget("8", "memory after / idle", _growth, 25, 15, "%"),
    Budget("9", "CPU to the first 200", plain("start/cpu/gateway"), 1.0, 0.6, "s"),
    Budget("10", "gRPC call / HTTP", ratio("grpc/32/gateway", "same/32/gateway"), 3, 2.3),
    Budget(
        "10", "gRPC message / bare", ratio("message/32/gateway", "message/32/bare"), 3, 2
    ),
    Budget("11", "longest gap of the loop", plain("gap/heavy/gateway"), 25, 10, "ms"),
    Budget(
        "12", "share of tokens", _share_of_tokens("fresh/32/gateway", "fresh-counted/32/gateway"), 35, 25, "%"
    ),
    Budget(
        "12", "the same again", _share_of_tokens("same/32/gateway", "same-counted/32/gateway"), 10, 5, "%"
    ),
)  # fmt: skip


def figures(values: Values) -> list[Figure]:
    """Return all figures that can be made of `values`."""
    return [figure for budget in BUDGETS if (figure := budget.figure(values)) is not None]
