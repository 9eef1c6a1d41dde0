"""What is measured, in rounds: each round asks every target in turn, so that noise hits all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.bench import load
from tests.bench.processes import Server, until_ok
from tests.bench.targets import BARE_EVENTS, BARE_PACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.bench.targets import Target, World

IN_FLIGHT: Final = (1, 32, 256)
PACE: Final = 100
"""Milliseconds between two events of a paced stream."""

MANY: Final = 1000
"""Streams that are open at once."""


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        rounds: Of what is asked as fast as possible.
        seconds: Of each of its runs, whole ones, as wrk wants them.
        calls: Over gRPC, instead of seconds.
        paced_rounds: Of everything that takes its time.
        events: Of a paced stream.
    """

    rounds: int
    seconds: int
    calls: int
    paced_rounds: int
    events: int


FULL: Final = Plan(rounds=5, seconds=2, calls=1500, paced_rounds=3, events=40)
QUICK: Final = Plan(rounds=2, seconds=1, calls=300, paced_rounds=1, events=15)


@dataclass
class Results:
    """The values of all rounds, by a key like `whole/32/gateway`."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, key: str, value: float) -> None:
        """Note the value of one round."""
        self.values[key].append(value)


@dataclass(frozen=True)
class Bench:
    """One benchmark while it runs."""

    world: World
    plan: Plan
    results: Results

    def warm(self, targets: Iterable[Target]) -> None:
        """Make the first requests, which load and connect, outside of what is measured."""
        for target in targets:
            for stream in (False, True):
                self._http(target, 32, stream=stream)

    def whole(self, targets: Iterable[Target], in_flight: Iterable[int] = IN_FLIGHT) -> None:
        """CPU of a whole answer, microseconds."""
        for number in in_flight:
            for target in targets:
                cost = self._http(target, number)
                self.results.add(f"whole/{number}/{target.name}", cost.cpu)
                self.results.add(f"rate/{number}/{target.name}", cost.rate)

    def streamed(self, targets: Iterable[Target]) -> None:
        """CPU of an event of a stream without delay, 32 at a time; its request included."""
        for target in targets:
            cost = self._http(target, 32, stream=True)
            self.results.add(f"event/32/{target.name}", cost.cpu / load.EVENTS)

    def tokens(self, gateway: Target) -> None:
        """CPU of whole answers whose tokens are counted or known, and of the same question again.

        What tokens cost is a difference of two of them, so all are measured there and back.
        """
        requests = self.world.requests
        loads = (
            ("fresh", requests.fresh, load.WHOLE_KEY),
            ("counted", requests.fresh, load.COUNTED_KEY),
            ("same", requests.same, load.WHOLE_KEY),
            ("same-counted", requests.same, load.COUNTED_KEY),
        )
        costs = defaultdict(list)
        for name, bodies, key in (*loads, *reversed(loads)):
            cost = load.http(
                self.world, gateway, in_flight=32, seconds=self.plan.seconds, bodies=bodies, key=key
            )
            costs[name].append(cost.cpu)
        for name, values in costs.items():
            self.results.add(f"{name}/32/{gateway.name}", statistics.mean(values))

    def grpc(self, gateway: Target, bare: Target) -> None:
        """CPU of a call, and of a message of streams that are paced so that each is one write."""
        files = self.world.requests
        method = "CreateChatCompletion"
        cost = load.grpc(self.world, gateway, method, files.grpc_whole, count=self.plan.calls)
        self.results.add(f"grpc/32/{gateway.name}", cost.cpu)
        for target in (gateway, bare):
            cost = load.grpc(
                self.world,
                target,
                "StreamChatCompletion",
                files.grpc_stream,
                count=self.plan.calls // 25,
                key=f"bench-{BARE_EVENTS}-{BARE_PACE}-0",
            )
            self.results.add(f"message/32/{target.name}", cost.cpu / BARE_EVENTS)

    def paced(self, targets: Iterable[Target], count: int) -> None:
        """CPU of an event of paced streams, and how late text comes; microseconds, milliseconds."""
        for target in targets:
            report = load.streams(
                self.world, target, count=count, events=self.plan.events, pace=PACE
            )
            seen = report.seen
            ideal = self.plan.events * PACE / 1000
            whole = seen["finished"] == count
            for name, value in (
                ("paced", report.cpu_per_event),
                ("first", seen["added_first_p50"]),
                ("late", seen["late_p50"]),
                ("late99", seen["late_p99"]),
                ("total", seen["total_p50"] / ideal if whole else math.inf),
                ("finished", seen["finished"]),
                ("memory", max(report.samples.memory)),
            ):
                self.results.add(f"{name}/{count}/{target.name}", value)

    def start(self) -> None:
        """CPU seconds, and seconds, from the start of a process to its first 200."""
        began = time.monotonic()
        with self.world.process("start") as (pid, ports):
            until_ok(f"http://127.0.0.1:{ports.http}/health")
            self.results.add("start/cpu/gateway", Server((pid,)).cpu())
            self.results.add("start/seconds/gateway", time.monotonic() - began)
            until_ok(f"http://127.0.0.1:{ports.ops}/readyz")
            self.results.add("ready/cpu/gateway", Server((pid,)).cpu())

    def _http(self, target: Target, in_flight: int, *, stream: bool = False) -> load.Cost:
        files = self.world.requests
        return load.http(
            self.world,
            target,
            in_flight=in_flight,
            seconds=self.plan.seconds,
            bodies=files.fresh_streams if stream else files.fresh,
            stream=stream,
        )
