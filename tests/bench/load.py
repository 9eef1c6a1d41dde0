"""Runs a load generator against a target and returns what it, and the clock of the target, say."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.bench.processes import Samples, pinned, sampled
from tests.bench.targets import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.targets import Target, World

WHOLE_KEY: Final = "bench-64-0-0"
"""See `provider.py`: 64 pieces without delay, no usage, so that tokens must be counted."""

COUNTED_KEY: Final = "bench-64-0-1"
"""The same, with the provider's usage: nothing is left to count."""

EVENTS: Final = 64

_TIMEOUT: Final = 120.0
_H2LOAD: Final = re.compile(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed")


class LoadFailed(Exception):
    """The load was not carried as it should have been: a figure of it would mean nothing."""


@dataclass(frozen=True)
class Cost:
    """What a load was, and what it cost the target.

    Attributes:
        cpu: Microseconds of CPU for one request.
        rate: Requests a second of wall-clock time.
        p50: Milliseconds that half of them took at most, 0 if not known.
    """

    cpu: float
    rate: float
    p50: float = 0.0


@dataclass(frozen=True)
class StreamsReport:
    """What the client of paced streams saw, and the target while it ran."""

    seen: dict[str, Any]
    samples: Samples

    @property
    def cpu_per_event(self) -> float:
        """Microseconds of CPU for an event, what opening and closing its stream costs included."""
        spent = self.samples.cpu[-1] - self.samples.cpu[0]
        return 1e6 * spent / float(self.seen["events"])


def http(
    world: World,
    target: Target,
    *,
    in_flight: int,
    seconds: int,
    bodies: Path,
    key: str = WHOLE_KEY,
    stream: bool = False,
) -> Cost:
    """Send requests as fast as they are answered, `in_flight` at a time, by wrk.

    Args:
        bodies: A file with one body a line, sent in turn, from where the last load of this target
            ended.

    Raises:
        LoadFailed: A request was not answered with success.
    """
    url = f"http://127.0.0.1:{target.port}{target.path(stream=stream)}"
    shape = ["-t1", f"-c{in_flight}", f"-d{seconds}s", "--timeout", "10s"]
    script = str(ROOT / "tests" / "bench" / "wrk.lua")
    before = target.server.cpu()
    arguments = [str(bodies), key, str(world.sent[target.name])]
    output = _run(world, ["wrk", *shape, "-s", script, url, "--", *arguments])
    cpu = target.server.cpu() - before
    seen = orjson.loads(output.splitlines()[-1])
    if seen["failed"] or not seen["requests"]:
        raise LoadFailed(f"{target.name}: {seen}")
    requests = seen["requests"]
    if bodies != world.requests.same:
        # What was under way at the end was sent too, and one more to try the script.
        world.sent[target.name] += requests + in_flight + 1
    return Cost(1e6 * cpu / requests, requests / seen["seconds"], seen["p50"])


def grpc(
    world: World, target: Target, method: str, message: Path, *, count: int, key: str = WHOLE_KEY
) -> Cost:
    """Call a method `count` times over four connections, 32 at a time, by h2load.

    Raises:
        LoadFailed: A call was not answered.
    """
    url = f"http://127.0.0.1:{target.grpc_port}/onemin.inference.v1.InferenceService/{method}"
    headers = ("content-type: application/grpc", "te: trailers", f"authorization: Bearer {key}")
    options = [part for header in headers for part in ("-H", header)]
    shape = ["-t1", "-c4", "-m8", f"-n{count}", "-d", str(message)]
    before = target.server.cpu()
    output = _run(world, ["h2load", *shape, *options, url])
    cpu = target.server.cpu() - before
    found = _H2LOAD.search(output)
    if found is None or int(found[2]) != count:
        raise LoadFailed(f"{target.name}: {output}")
    seconds = re.search(r"finished in ([\d.]+)(m?s)", output)
    took = float(seconds[1]) / (1000 if seconds[2] == "ms" else 1) if seconds else 0.0
    return Cost(1e6 * cpu / count, count / took if took else 0.0)


def streams(world: World, target: Target, *, count: int, events: int, pace: int) -> StreamsReport:
    """Open `count` streams of `events` pieces, `pace` milliseconds apart, and read them all.

    Raises:
        LoadFailed: No stream came to its end.
    """
    client = [sys.executable, "-m", "tests.bench.streams", "--port", str(target.port)]
    asked = ["--path", target.path(stream=True), "--key", f"bench-{events}-{pace}-0"]
    shape = ["--streams", str(count), "--bodies", str(world.requests.fresh_streams)]
    shape += ["--first", str(world.sent[target.name])]
    world.sent[target.name] += count
    with sampled(target.server) as samples:
        output = _run(world, [*client, *asked, *shape])
    seen = orjson.loads(output)
    if not seen["finished"]:
        raise LoadFailed(f"{target.name}: none of {count} streams finished")
    return StreamsReport(seen, samples)


def _run(world: World, command: list[str]) -> str:
    done = subprocess.run(
        pinned(world.cores.loading, command),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise LoadFailed(f"{command[0]}: {done.stderr[-2000:]}{done.stdout[-2000:]}")
    return done.stdout
