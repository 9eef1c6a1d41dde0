"""Programs that a test starts and ends: the gateway on an address of its own, and proxies."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

from tests.lifecycle.process import clean_environment, free_port

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60.0
"""Seconds after which a test gives up; machines that run tests are busy."""

STOP_WITHIN = 10.0


async def until(condition, what):
    """Wait until `await condition()` is true."""
    end = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


async def until_listening(program, host, port):
    async def listens():
        assert program.poll() is None, f"{program.args} has ended"
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True

    await until(listens, f"nothing listens on {host}:{port}")


def _start(command, environment, output):
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )


@asynccontextmanager
async def running(command, log, environment=None):
    """Run a program within the context. What it prints goes to `log`, and is shown by a failure."""
    with log.open("wb") as output:
        program = _start(command, environment, output)
    try:
        yield program
    finally:
        program.terminate()
        try:
            await asyncio.to_thread(program.wait, STOP_WITHIN)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
        print(f"{log}:\n{log.read_text()[-4000:]}")  # noqa: T201  # shown if the test fails


@dataclass(frozen=True)
class Gateway:
    """A gateway that was started."""

    host: str
    ports: dict[str, int]
    program: subprocess.Popen[bytes]
    log: Path

    @property
    def http_address(self):
        return f"{self.host}:{self.ports['http_port']}"

    @property
    def grpc_address(self):
        return f"{self.host}:{self.ports['grpc_port']}"

    async def state(self):
        """Return what `/readyz` says, `down` if nobody answers."""
        async with httpx2.AsyncClient(timeout=PATIENCE) as client:
            try:
                answer = await client.get(f"http://{self.host}:{self.ports['ops_port']}/readyz")
            except httpx2.TransportError:
                return "down"
            return answer.text.strip()

    async def until_ready(self):
        async def is_ready():
            assert self.program.poll() is None, self.log.read_text()
            return await self.state() == "ready"

        await until(is_ready, f"{self.host} is not ready")

    def terminate(self):
        self.program.send_signal(signal.SIGTERM)

    def kill(self):
        self.program.kill()

    async def exit_code(self):
        return await asyncio.to_thread(self.program.wait, PATIENCE)


@asynccontextmanager
async def gateway(folder, *, host="127.0.0.1", ports=None, **settings):
    """Run a gateway and yield it once it is ready."""
    ports = ports or {name: free_port() for name in ("http_port", "grpc_port", "ops_port")}
    log = folder / f"gateway-{host}-{ports['http_port']}.log"
    environment = clean_environment(host=host, **ports, **settings)
    async with running([sys.executable, "-m", "service"], log, environment) as program:
        started = Gateway(host, ports, program, log)
        await started.until_ready()
        yield started
