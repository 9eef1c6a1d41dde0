"""The processes of a soak, what they print, and what the kernel and their watches say of them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.bench.processes import Server, free_port, until_listening, until_ok
from tests.soak.mix import SETTINGS

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

ROOT: Final = Path(__file__).parents[2]
STOP_TIMEOUT: Final = 30.0
LINE_LIMIT: Final = 1 << 20
KEPT_LINES: Final = 20

_ENDED: Final = frozenset({"06", "0A"})
"""TIME_WAIT and LISTEN, as `/proc/net/tcp` numbers them: no connections of anybody."""


class Ports(NamedTuple):
    """Where one process of the gateway listens; `watch` tells of its tasks."""

    http: int
    grpc: int
    ops: int
    watch: int


class Holdings(NamedTuple):
    """What a process holds at one moment."""

    memory: float
    """MiB, as the proportional set size."""
    files: int
    threads: int
    tasks: int
    connections: int
    """Of callers, at its doors."""


@dataclass
class GatewayProcess:
    """One process of the gateway.

    Attributes:
        complaints: Lines of its log that nothing in the load explains, the first few.
        complaint_count: All of them.
        events: How often each event was logged.
        exit_code: Once it has ended.
    """

    name: str
    pid: int
    ports: Ports
    complaints: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    complaint_count: int = 0
    events: Counter[str] = field(default_factory=Counter)
    exit_code: int | None = None

    @property
    def ops_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.ops}"

    def memory(self) -> float:
        return Server((self.pid,)).memory()

    def threads(self) -> int:
        return self._entries("task")

    async def holdings(self) -> Holdings:
        # The watch first: its own connection must be gone when files are counted.
        tasks = await self._tasks()
        await asyncio.sleep(0.1)
        return Holdings(
            memory=self.memory(),
            files=self._entries("fd"),
            threads=self.threads(),
            tasks=tasks,
            connections=connections_to(self.ports.http) + connections_to(self.ports.grpc),
        )

    def _entries(self, folder: str) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/{folder}").iterdir())

    async def _tasks(self) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports.watch)
        told = await reader.read()
        writer.close()
        return int(told)

    def take(self, line: str) -> None:
        """Take one line of the log; only what is no news is forgotten."""
        try:
            fields: dict[str, Any] = json.loads(line)
        except ValueError:
            fields = {"event": line, "level": "raw"}
        event = fields["event"]
        is_news = fields.get("level") not in ("info", "debug") or "exception" in fields
        if is_news or "sk-" in line:
            self.complaints.append(line.rstrip())
            self.complaint_count += 1
        else:
            self.events[event] += 1


def connections_to(port: int) -> int:
    """Return the connections that this machine has to a port of its own, half-closed ones too."""
    count = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            count += int(local.rpartition(":")[2], 16) == port and state not in _ENDED
    return count


@dataclass(frozen=True)
class World:
    """All that runs."""

    gateways: list[GatewayProcess]
    """The one that the HTTP door belongs to comes first, the one of the gRPC door last."""
    provider_port: int
    watch_port: int


@asynccontextmanager
async def world(*, split: bool) -> AsyncIterator[World]:
    """Run provider and gateway within the context; the exit codes are known after it."""
    port, watch_port = free_port(), free_port()
    options = ("--port", str(port), "--watch-port", str(watch_port))
    async with _running("tests.soak.provider", *options, environment=dict(os.environ)):
        await asyncio.to_thread(until_listening, watch_port)
        url = f"http://127.0.0.1:{port}"
        if not split:
            async with _gateway("gateway", api_url=url) as gateway:
                yield World([gateway], port, watch_port)
            return
        async with _gateway("far", role="grpc", api_url=url) as far:
            target = f"127.0.0.1:{far.ports.grpc}"
            async with _gateway("near", role="http", grpc_target=target) as near:
                yield World([near, far], port, watch_port)


@asynccontextmanager
async def _gateway(name: str, **settings: str) -> AsyncIterator[GatewayProcess]:
    ports = Ports(*(free_port() for _ in Ports._fields))
    settings |= SETTINGS | {
        f"{door}_port": str(getattr(ports, door)) for door in ("http", "grpc", "ops")
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONE_MIN_")}
    environment = kept | {f"ONE_MIN_{key.upper()}": value for key, value in settings.items()}
    # So that files and generators which nobody closed are told of in the log.
    environment |= {"SOAK_WATCH_PORT": str(ports.watch), "PYTHONWARNINGS": "default"}
    async with _running("tests.soak.gateway", environment=environment) as process:
        gateway = GatewayProcess(name, process.pid, ports)
        reading = asyncio.create_task(_read(process, gateway))
        await asyncio.to_thread(until_ok, f"{gateway.ops_url}/readyz")
        yield gateway
        process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT):
            gateway.exit_code = await process.wait()
            await reading


@asynccontextmanager
async def _running(
    module: str, *arguments: str, environment: dict[str, str]
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if "gateway" in module else None,
        stderr=asyncio.subprocess.STDOUT if "gateway" in module else None,
        limit=LINE_LIMIT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _read(process: Process, gateway: GatewayProcess) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        gateway.take(line.decode())
