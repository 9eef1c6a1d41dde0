"""What a soak is judged by, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.soak.run import Process, Soak

MEMORY_GROWTH = 0.05
MOST_THREADS = 40
POOL_GROWTH = 4
"""Threads that the pools of gRPC and asyncio may still start after the warm-up."""


@dataclass(frozen=True)
class Check:
    """One thing that must hold: its name, what was seen and what is right."""

    name: str
    seen: str
    right: str
    holds: bool


def checks(soak: Soak) -> list[Check]:
    """Return all that must hold."""
    wrong = soak.wrong.total()
    return [
        Check("wrong endings", f"{wrong} of {soak.made.total()}", "0", wrong == 0),
        _equal("requests to the provider", soak.seen_requests, soak.expected_requests),
        _equal("open exchanges at the provider", soak.open_exchanges, 0),
        _equal("open connections at the provider", soak.provider_connections, 0),
        _equal("connections to where a redirect points", soak.strangers, 0),
        *(check for process in soak.processes for check in _of(process)),
    ]


def _of(process: Process) -> Iterator[Check]:
    name = process.gateway.name
    uneven = sum(not book.is_even for book in process.books)
    calls = process.ledger.calls
    counted = sum(book.counted for book in process.books)
    yield Check(f"{name}: calls counted", str(counted), str(calls), counted == calls)
    yield Check(
        f"{name}: endings counted wrongly", f"{uneven} of {len(process.books)}", "0", uneven == 0
    )
    yield _equal(f"{name}: calls in flight", round(process.in_flight), 0)
    # What is opened once and for all, for the first calls, is there after the warm-up.
    warm, after = process.rested[0], process.rested[-1]
    yield _at_most(f"{name}: files at rest", after.files, warm.files)
    yield _at_most(f"{name}: threads at rest", after.threads, warm.threads + POOL_GROWTH)
    yield _at_most(f"{name}: tasks at rest", after.tasks, process.fresh.tasks)
    yield _at_most(f"{name}: connections at rest", after.connections, process.fresh.connections)
    yield _at_most(f"{name}: most threads", max(process.threads), MOST_THREADS)
    growth = process.growth()
    yield Check(
        f"{name}: growth of memory under load",
        f"{growth:+.1%}",
        f"< {MEMORY_GROWTH:.0%}",
        growth < MEMORY_GROWTH,
    )
    yield _equal(f"{name}: lines of the log that complain", process.gateway.complaint_count, 0)
    yield _equal(f"{name}: exit code", process.gateway.exit_code, 0)


def _at_most(name: str, seen: int, right: int) -> Check:
    return Check(name, str(seen), f"<= {right}", seen <= right)


def _equal(name: str, seen: int | None, right: int) -> Check:
    return Check(name, str(seen), str(right), seen == right)


def table(soak: Soak) -> str:
    """Return calls, checks and what is behind those that do not hold."""
    return "\n".join([*_calls(soak), "", *_checks(soak), *_memory(soak), *_details(soak)])


def _calls(soak: Soak) -> Iterator[str]:
    yield f"{'calls':<10}{'where':<42}{'made':>8}{'wrong':>7}{'mean s':>8}"
    for (group, where), made in sorted(soak.made.items()):
        mean = soak.seconds[group, where] / made
        yield f"{group:<10}{where:<42}{made:>8}{soak.wrong[group, where]:>7}{mean:>8.2f}"


def _checks(soak: Soak) -> Iterator[str]:
    yield f"{'what must hold':<44}{'seen':>14}{'right':>12}"
    for check in checks(soak):
        verdict = "ok" if check.holds else "WRONG"
        yield f"{check.name:<44}{check.seen:>14}{check.right:>12}  {verdict}"


def _memory(soak: Soak) -> Iterator[str]:
    yield ""
    yield f"{'memory, MiB':<16}{'at rest':>10}{'under load: first..last (most)':>34}{'at rest':>10}"
    for process in soak.processes:
        load = f"{process.memory[0]:.1f}..{process.memory[-1]:.1f} ({max(process.memory):.1f})"
        before, after = (held.memory for held in (process.rested[0], process.rested[-1]))
        yield f"{process.gateway.name:<16}{before:>10.1f}{load:>34}{after:>10.1f}"


def _details(soak: Soak) -> Iterator[str]:
    for text in soak.told:
        yield f"wrong ending: {text}"
    for process in soak.processes:
        name = process.gateway.name
        for book in process.books:
            if not book.is_even:
                ending = f"{'/'.join(book.scope)} {'|'.join(sorted(book.reasons))}"
                yield f"{name}: {ending}: expected {book.expected}, counted {book.counted}"
        for line in process.gateway.complaints:
            yield f"{name} said: {line}"
