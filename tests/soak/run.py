"""One soak: load, rest, load, rest; what came of it is for `tests.soak.report`."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import traceback
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import httpx2

from tests.faults.houses import House
from tests.soak.deeds import Ground
from tests.soak.ledger import Book, Ledger, added
from tests.soak.mix import Deck, kinds
from tests.soak.processes import Holdings, connections_to, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.soak.ledger import Samples
    from tests.soak.mix import Kind
    from tests.soak.processes import GatewayProcess, World

WARM_UP_SHARE = 0.25
REST_TIMEOUT = 60.0
"""Seconds; the pool of connections to the provider lets an idle one go after 15."""

CALL_TIMEOUT = 60.0
SAMPLE_INTERVAL = 1.0
WINDOW_SHARE = 0.25
"""The first and the last part of the samples, whose medians are compared."""

KEPT_WRONG = 20
_CHANNEL = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 1 << 30))
"""Retries are left on, as clients have them: without the transparent ones a call is lost whenever a
connection is asked to end at the moment in which it is made."""

CHAT_PATH = "/api/chat-with-ai"


@dataclass
class Process:
    """What one process of the gateway was seen to hold, and to have counted."""

    gateway: GatewayProcess
    fresh: Holdings
    """Before the first call."""
    started: Samples
    ledger: Ledger = field(default_factory=Ledger)
    memory: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    rested: list[Holdings] = field(default_factory=list)
    books: list[Book] = field(default_factory=list)
    in_flight: float = 0

    def growth(self) -> float:
        """Return how much more memory there was at the end of the load than at its begin."""
        size = max(1, round(len(self.memory) * WINDOW_SHARE))
        first, last = statistics.median(self.memory[:size]), statistics.median(self.memory[-size:])
        return last / first - 1


@dataclass
class Soak:
    """All that one soak brought to light."""

    processes: list[Process]
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Calls by group and column."""
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: Counter[tuple[str, str]] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    """What the first wrong endings were."""
    expected_requests: int = 0
    seen_requests: int = 0
    open_exchanges: int = 0
    provider_connections: int = 0
    strangers: int = 0
    """Connections to the host that nobody may call."""

    def enter(self, kind: Kind) -> None:
        """Enter a call into the books."""
        near, far = self.processes[0], self.processes[-1]
        for entry in kind.entries:
            self.expected_requests += entry.requests
            (near if entry.protocol == "http" else far).ledger.enter(entry)
            if entry.protocol == "http" and entry.is_forwarded and near is not far:
                far.ledger.enter_far(entry)


async def soak(*, seconds: float, in_flight: int, split: bool, seed: int) -> Soak:
    """Run it; the processes have ended when it returns."""
    async with world(split=split) as running, _elsewhere() as elsewhere:
        result = Soak([await _process(gateway) for gateway in running.gateways])
        deck = Deck(kinds(), seed)
        load = Load(running, elsewhere, deck, result, in_flight)
        _say(f"warming up, then {seconds * (1 - WARM_UP_SHARE):.0f} s under watch")
        await load.run(seconds * WARM_UP_SHARE)
        await rest(running, result)
        async with _sampled(result.processes):
            await load.run(seconds * (1 - WARM_UP_SHARE))
        await rest(running, result)
        await _balance(running, result)
        result.strangers = elsewhere.strangers
    return result


class Load:
    """Keeps so many calls in flight."""

    def __init__(
        self, running: World, elsewhere: Any, deck: Deck, result: Soak, in_flight: int
    ) -> None:
        self._running = running
        self._elsewhere = elsewhere
        self._deck = deck
        self._result = result
        self._in_flight = in_flight

    async def run(self, seconds: float) -> None:
        """Begin calls for a time, and let them end."""
        until = time.monotonic() + seconds
        async with self._ground() as ground, asyncio.TaskGroup() as callers:
            for _ in range(self._in_flight):
                callers.create_task(self._call(ground, until))

    async def _call(self, ground: Ground, until: float) -> None:
        while time.monotonic() < until:
            await self._one(ground, self._deck.draw())

    async def _one(self, ground: Ground, kind: Kind) -> None:
        where = kind.group, kind.name.partition(", ")[2]
        self._result.made[where] += 1
        self._result.enter(kind)
        began = time.monotonic()
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                await kind.act(ground, self._deck.key())
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a wrong ending
            self._result.wrong[where] += 1
            if len(self._result.told) < KEPT_WRONG:
                self._result.told.append(_told(kind, error))
        self._result.seconds[where] += time.monotonic() - began

    @asynccontextmanager
    async def _ground(self) -> AsyncIterator[Ground]:
        """Open clients that are gone afterwards, so that the gateway can come to rest."""
        near, far = self._running.gateways[0], self._running.gateways[-1]
        target = f"127.0.0.1:{far.ports.grpc}"
        async with (
            httpx2.AsyncClient(timeout=30, trust_env=False, limits=httpx2.Limits()) as http,
            grpc.aio.insecure_channel(target, _CHANNEL) as channel,
        ):
            house = House(
                simulator=SimpleNamespace(url=f"http://127.0.0.1:{self._running.provider_port}"),
                gateways=[],
                http_url=f"http://127.0.0.1:{near.ports.http}",
                grpc_target=target,
                ops_urls=[],
                http=http,
                channel=channel,
            )
            watch = f"http://127.0.0.1:{self._running.watch_port}"
            yield Ground(house, watch, self._elsewhere.url)


async def rest(running: World, result: Soak) -> None:
    """Wait until nothing is open any more, or for as long as that may take, and take stock."""
    _say("resting")
    until = time.monotonic() + REST_TIMEOUT
    while True:
        held = [await process.gateway.holdings() for process in result.processes]
        provider = connections_to(running.provider_port)
        is_quiet = provider == 0 and all(
            now.connections == _hop(process)
            and (not process.rested or _within(now, process.rested[0]))
            for process, now in zip(result.processes, held, strict=True)
        )
        if is_quiet or time.monotonic() > until:
            break
        await asyncio.sleep(0.5)
    for process, now in zip(result.processes, held, strict=True):
        process.rested.append(now)
    result.provider_connections = provider


def _hop(process: Process) -> int:
    """Return the connections that stay: the far process keeps that of the near one."""
    return 1 if process.gateway.name == "far" else 0


def _within(now: Holdings, before: Holdings) -> bool:
    return now.files <= before.files and now.tasks <= before.tasks


async def _balance(running: World, result: Soak) -> None:
    for process in result.processes:
        ended = await _metrics(process.gateway)
        process.books = process.ledger.compare(process.started, ended)
        process.in_flight = added("onemin_in_flight", {}, ended)
    async with httpx2.AsyncClient(trust_env=False) as http:
        counts = (await http.get(f"http://127.0.0.1:{running.watch_port}/counts")).json()
    result.seen_requests = counts["paths"][CHAT_PATH]
    result.open_exchanges = counts["open"]


async def _process(gateway: GatewayProcess) -> Process:
    return Process(gateway, fresh=await gateway.holdings(), started=await _metrics(gateway))


async def _metrics(gateway: GatewayProcess) -> Samples:
    async with httpx2.AsyncClient(trust_env=False) as http:
        house: Any = SimpleNamespace(ops_urls=[gateway.ops_url], http=http)
        return dict(await House.metrics(house))


@asynccontextmanager
async def _sampled(processes: list[Process]) -> AsyncIterator[None]:
    async def sample() -> None:
        while True:
            for process in processes:
                process.memory.append(process.gateway.memory())
                process.threads.append(process.gateway.threads())
            await asyncio.sleep(SAMPLE_INTERVAL)

    sampling = asyncio.create_task(sample())
    try:
        yield
    finally:
        sampling.cancel()


@asynccontextmanager
async def _elsewhere() -> AsyncIterator[Any]:
    """Run a host that redirects point to; nobody may call it with a caller's key."""
    host = SimpleNamespace(strangers=0, url="")

    def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host.strangers += 1
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield host


def _told(kind: Kind, error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(f"{type(error).__name__} {error}".split())
    return f"{kind.name}: {said[:300]} ({frame.name}, line {frame.lineno}: {frame.line})"


def _say(text: str) -> None:
    print(f"soak: {text}", file=sys.stderr, flush=True)  # noqa: T201  # a command line
