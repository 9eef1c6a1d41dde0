"""The client's side of the books: what was asked of the gateway, and what it must have counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Scope: TypeAlias = "tuple[str, str]"
"""Method and protocol; `refused` in place of the method before the service is reached."""

Samples: TypeAlias = "Mapping[tuple[str, tuple[tuple[str, str], ...]], float]"

REFUSED = "refused"
OVER = frozenset({"DEADLINE_EXCEEDED", "CANCELLED"})
"""When a caller's deadline passes the library cancels the call and we end it, at the same moment."""

OVER_BETWEEN = OVER | {"UPSTREAM_TIMEOUT"}
"""So it is at the far one of two processes, whose own time-out ends at that moment, too."""


@dataclass(frozen=True)
class Entry:
    """One call, as the metrics must show it.

    Attributes:
        method: The RPC, or `REFUSED`.
        protocol: The door.
        reasons: The one ending that is right, or several where a race decides.
        requests: How many requests to the provider it takes.
        is_forwarded: Whether role `http` hands it on, in two processes.
        far_reasons: How the far process may see it, if not in the same way.
    """

    method: str
    protocol: str
    reasons: frozenset[str]
    requests: int = 1
    is_forwarded: bool = True
    far_reasons: frozenset[str] | None = None


@dataclass(frozen=True)
class Book:
    """One line of the comparison: a scope, what was expected there and what was counted."""

    scope: Scope
    reasons: frozenset[str]
    expected: int
    counted: int

    @property
    def is_even(self) -> bool:
        return self.expected == self.counted


class Ledger:
    """What one process of the gateway must have counted."""

    def __init__(self) -> None:
        self._expected: Counter[tuple[Scope, frozenset[str]]] = Counter()

    def enter(self, entry: Entry) -> None:
        self._expected[(entry.method, entry.protocol), entry.reasons] += 1

    def enter_far(self, entry: Entry) -> None:
        """Enter a call of the HTTP door that comes to the second process over gRPC."""
        self._expected[(entry.method, "grpc"), entry.far_reasons or entry.reasons] += 1

    @property
    def calls(self) -> int:
        return self._expected.total()

    def compare(self, before: Samples, after: Samples) -> list[Book]:
        """Return a line for each ending that was expected or counted.

        Where several endings are right, those that no other call accounts for are added up.
        """
        counted = _counted(before, after)
        books = []
        for (scope, reasons), number in sorted(self._expected.items(), key=_widest_last):
            taken = 0
            for reason in sorted(reasons):
                left = counted[scope, reason]
                share = min(left, number - taken) if len(reasons) > 1 else min(left, number)
                counted[scope, reason] -= share
                taken += share
            books.append(Book(scope, reasons, number, taken))
        surplus = ((scope, reason, n) for (scope, reason), n in counted.items() if n)
        books += [Book(scope, frozenset({reason}), 0, n) for scope, reason, n in surplus]
        return books


def _widest_last(item: tuple[tuple[Scope, frozenset[str]], int]) -> tuple[int, Scope, list[str]]:
    (scope, reasons), _ = item
    return len(reasons), scope, sorted(reasons)


def _counted(before: Samples, after: Samples) -> Counter[tuple[Scope, str]]:
    counted: Counter[tuple[Scope, str]] = Counter()
    for key, value in after.items():
        name, labels = key[0], dict(key[1])
        if name in ("onemin_calls_total", "onemin_refused_total"):
            scope = labels.get("method", REFUSED), labels["protocol"]
            counted[scope, labels["reason"]] += round(value - before.get(key, 0))
    return counted


def added(name: str, before: Samples, after: Samples) -> float:
    """Return what was added to all samples of a name."""
    return _total(name, after) - _total(name, before)


def _total(name: str, samples: Samples) -> float:
    return sum(_values(name, samples))


def _values(name: str, samples: Samples) -> Iterable[float]:
    return (value for (sample, _), value in samples.items() if sample == name)
