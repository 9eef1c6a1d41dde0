"""What is measured, in rounds: each round asks every target in turn, so that noise hits all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.bench import load
from tests.bench.processes import Server, awake, until_ok
from tests.bench.targets import BARE_EVENTS, BARE_PACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from tests.bench.targets import Target, World

    Load: TypeAlias = Callable[[], load.Cost]

IN_FLIGHT: Final = (1, 32, 256)
PACE: Final = 100
"""Milliseconds between two events of a paced stream."""

PACED_EVENTS: Final = 40
"""Of a paced stream."""

MANY: Final = 1000
"""Streams that are open at once."""


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        rounds: Of what is asked as fast as possible.
        seconds: Of each of its runs, there and back by the second.
        calls: Over gRPC, instead of seconds.
        paced_rounds: Of everything that takes its time.
    """

    rounds: int
    seconds: int
    calls: int
    paced_rounds: int


FULL: Final = Plan(rounds=5, seconds=2, calls=1500, paced_rounds=3)
QUICK: Final = Plan(rounds=2, seconds=1, calls=300, paced_rounds=1)


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
        targets = list(targets)
        for number in in_flight:
            loads = {target.name: partial(self._http, target, number) for target in targets}
            for name, costs in self._in_turn(loads).items():
                self.results.add(f"whole/{number}/{name}", _mean_cpu(costs))
                rate = statistics.mean(cost.rate for cost in costs)
                self.results.add(f"rate/{number}/{name}", rate)

    def streamed(self, targets: Iterable[Target]) -> None:
        """CPU of an event of a stream without delay, 32 at a time; its request included."""
        loads = {target.name: partial(self._http, target, 32, stream=True) for target in targets}
        for name, costs in self._in_turn(loads).items():
            self.results.add(f"event/32/{name}", _mean_cpu(costs) / load.EVENTS)

    def tokens(self, gateway: Target) -> None:
        """CPU of whole answers whose tokens are counted or known, and of the same question again.

        What tokens cost is a difference of two of them, so they take twice the time; that of the
        same question is small, so its loads take four times as long.
        """
        requests = self.world.requests
        for name, bodies, times in (("fresh", requests.fresh, 2), ("same", requests.same, 4)):
            loads = {
                kind: partial(
                    load.http, self.world, gateway, in_flight=32, seconds=1, bodies=bodies, key=key
                )
                for kind, key in ((name, load.WHOLE_KEY), (f"{name}-counted", load.COUNTED_KEY))
            }
            for kind, costs in self._in_turn(loads, times * self.plan.seconds).items():
                self.results.add(f"{kind}/32/{gateway.name}", _mean_cpu(costs))

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
            report = load.streams(self.world, target, count=count, events=PACED_EVENTS, pace=PACE)
            seen = report.seen
            ideal = PACED_EVENTS * PACE / 1000
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

    def paced_awake(self, targets: Iterable[Target], count: int) -> None:
        """CPU of an event of paced streams, where no core may sleep; see `processes.awake`."""
        with awake(self.world.cores, self.world.folder):
            for target in targets:
                shape = {"count": count, "events": PACED_EVENTS, "pace": PACE}
                report = load.streams(self.world, target, **shape)
                self.results.add(f"awake/{count}/{target.name}", report.cpu_per_event)

    def start(self) -> None:
        """CPU seconds, and seconds, from the start of a process to its first 200."""
        began = time.monotonic()
        with self.world.process("start") as (pid, ports):
            until_ok(f"http://127.0.0.1:{ports.http}/health")
            self.results.add("start/cpu/gateway", Server((pid,)).cpu())
            self.results.add("start/seconds/gateway", time.monotonic() - began)
            until_ok(f"http://127.0.0.1:{ports.ops}/readyz")
            self.results.add("ready/cpu/gateway", Server((pid,)).cpu())

    def _in_turn(self, loads: Mapping[str, Load], times: int = 0) -> dict[str, list[load.Cost]]:
        """Run loads of a second, there and back, so that what drifts hits all alike."""
        costs = defaultdict(list)
        order = list(loads)
        for _ in range(times or self.plan.seconds):
            for name in order:
                costs[name].append(loads[name]())
            order.reverse()
        return costs

    def _http(self, target: Target, in_flight: int, *, stream: bool = False) -> load.Cost:
        files = self.world.requests
        return load.http(
            self.world,
            target,
            in_flight=in_flight,
            seconds=1,
            bodies=files.fresh_streams if stream else files.fresh,
            stream=stream,
        )


def _mean_cpu(costs: Iterable[load.Cost]) -> float:
    return statistics.mean(cost.cpu for cost in costs)
