"""A provider that does what a test tells it to: raw sockets, so that it can misbehave."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.observability.metrics import Metrics
from service.settings import Settings
from service.upstream.client import OneMinClient
from service.upstream.transport import Transport

DATA = Path(__file__).parents[2] / "data" / "upstream"


@dataclass
class Seen:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Provider:
    """Answers each request by the next of `script`; the last one answers all that follow."""

    def __init__(self):
        self.script = []
        self.seen: list[Seen] = []
        self.connections = 0
        self.open = 0
        self._changed = asyncio.Event()
        self._tasks = set()

    @asynccontextmanager
    async def running(self, **options):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **options)
        scheme = "https" if "ssl" in options else "http"
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"{scheme}://localhost:{self.port}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, predicate, seconds=5.0):
        async with asyncio.timeout(seconds):
            while not predicate():
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while (request := await self._read(reader, number)) is not None:
                self.seen.append(request)
                self._changed.set()
                act = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if not await act(reader, writer):
                    break
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            self._changed.set()
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader, number):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except asyncio.IncompleteReadError:
            return None
        method, target, _ = head[0].split(" ")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Seen(method, target, headers, body, number)


class Replies:
    """Makes the actions that a provider's script consists of."""

    @staticmethod
    def raw(data, *, keep=False):
        async def act(_reader, writer):
            writer.write(data)
            await writer.drain()
            return keep

        return act

    @classmethod
    def whole(cls, body=b"", status="200 OK", media_type="application/json", headers=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", *headers]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        return cls.raw(head + body, keep=True)

    @staticmethod
    def stream(*chunks, media_type="text/event-stream", then="end", headers=(), pause=None):
        """Send chunks, each in a write of its own; then end, hold, abort or cut the body."""
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {media_type}", *headers]
        head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode()

        async def act(reader, writer):
            writer.write(head)
            for chunk in chunks:
                writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                await writer.drain()
                if pause is not None:
                    await pause()
            if then == "end":
                writer.write(b"0\r\n\r\n")
                await writer.drain()
                return True
            if then == "hold":
                await reader.read(1)
            if then == "abort":
                writer.transport.abort()
            return False

        return act

    @staticmethod
    async def silence(reader, _writer):
        await reader.read(1)
        return False

    @staticmethod
    async def abort(_reader, writer):
        writer.transport.abort()
        return False


@pytest.fixture
def replies():
    return Replies


@pytest.fixture(scope="session")
def data():
    return DATA


@pytest.fixture
async def provider():
    async with Provider().running() as running:
        yield running


@pytest.fixture
def metrics():
    return Metrics("test")


@pytest.fixture
def count(metrics):
    def value(name, **labels):
        return metrics.registry.get_sample_value(f"onemin_upstream_{name}_total", labels) or 0

    return value


@pytest.fixture
async def connect(provider, metrics):
    """Make clients of the provider; settings are given by name."""
    async with AsyncExitStack() as stack:

        def make(*, retries=False, **settings):
            settings = {"api_url": provider.url, **settings}
            transport = Transport.from_settings(Settings(**settings))
            client = OneMinClient(transport, metrics, retries=retries)
            stack.push_async_callback(client.aclose)
            return client

        yield make
