"""The order of `service.lifecycle`, with real servers and real signals in one loop."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from contextlib import asynccontextmanager

import httpx2
import pytest
from structlog.testing import capture_logs

from service.http_server import HttpServer
from service.lifecycle import Gateway, StartError, run, warm_up
from service.observability.metrics import Metrics
from service.operations import build_operations
from service.readiness import Readiness, State
from service.settings import Settings

pytestmark = pytest.mark.anyio


class Door:
    """An application that answers when it is let."""

    def __init__(self):
        self.let = asyncio.Event()
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.entered.set()
        waiting = {asyncio.ensure_future(self.let.wait()), asyncio.ensure_future(_gone(receive))}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        self.left.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


async def _gone(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


class Process:
    """A gateway of one door, running as a task."""

    def __init__(self, settings=None, work=None):
        self.settings = settings or Settings(http_port=0, ops_port=0, drain_delay=0)
        self.readiness = Readiness()
        self.states = []
        self.readiness.listen(self.states.append)
        self.door = Door()
        self.served = HttpServer(self.door, "127.0.0.1", self.settings.http_port)
        operations = build_operations(Metrics("test"), self.readiness)
        self.operations = HttpServer(operations, "127.0.0.1", self.settings.ops_port)
        self.closed = []
        self.gateway = Gateway(
            doors={"http_port": self.served},
            operations={"ops_port": self.operations},
            work=work or {"warm-up": self._become_ready},
            close=self._close,
            readiness=self.readiness,
        )

    async def _become_ready(self):
        self.readiness.move_to(State.READY)

    async def _close(self):
        serving = self.operations._serving
        answers = serving is not None and not serving.done()
        self.closed.append(await self.probe("livez") if answers else "closed")

    @asynccontextmanager
    async def running(self):
        with capture_logs() as self.logs:
            self.run = asyncio.create_task(run(self.gateway, self.settings))
            try:
                await self.until(State.READY)
                yield self
            finally:
                self.run.cancel()
                await asyncio.gather(self.run, return_exceptions=True)

    async def until(self, state):
        reached = asyncio.Event()
        self.readiness.listen(lambda now: now is state and reached.set())
        async with asyncio.timeout(10):
            await reached.wait()

    async def probe(self, path):
        return await self._get(self.operations, path)

    async def call(self):
        return await self._get(self.served, "")

    async def _get(self, server, path):
        port = server._socket.getsockname()[1]
        async with httpx2.AsyncClient(timeout=10) as client:
            return (await client.get(f"http://127.0.0.1:{port}/{path}")).status_code

    def open_call(self):
        return asyncio.create_task(self.call())

    async def exit_code(self):
        async with asyncio.timeout(10):
            return await self.run

    def events(self):
        return [line["event"] for line in self.logs]


def drain(delay, grace):
    return Settings(http_port=0, ops_port=0, drain_delay=delay, drain_grace=grace)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_well(number):
    async with Process().running() as process:
        signal.raise_signal(number)
        assert await process.exit_code() == 0
    assert process.states == [State.STARTING, State.READY, State.DRAINING, State.STOPPING]
    assert process.events() == ["listening", "signal", "draining", "stopping", "stopped"]


async def test_after_the_end_signals_are_what_they_were():
    before = signal.getsignal(signal.SIGTERM)
    async with Process().running() as process:
        signal.raise_signal(signal.SIGTERM)
        await process.exit_code()
    assert signal.getsignal(signal.SIGTERM) == before


async def test_while_draining_calls_are_served_and_the_probe_says_no():
    async with Process(drain(delay=0.5, grace=5)).running() as process:
        process.door.let.set()
        assert await process.probe("readyz") == 200
        signal.raise_signal(signal.SIGTERM)
        await process.until(State.DRAINING)
        assert await process.probe("readyz") == 503
        assert await process.call() == 200
        assert process.readiness.state is State.DRAINING
        assert await process.exit_code() == 0


async def test_an_open_call_ends_within_the_grace():
    async with Process(drain(delay=0, grace=10)).running() as process:
        call = process.open_call()
        await process.door.entered.wait()
        signal.raise_signal(signal.SIGTERM)
        await process.until(State.STOPPING)
        process.door.let.set()
        assert await call == 200
        assert await process.exit_code() == 0


async def test_calls_are_refused_only_once_nothing_can_be_on_its_way_through_a_door():
    async with Process(drain(delay=0, grace=10)).running() as process:
        call = process.open_call()
        await process.door.entered.wait()
        address = process.served._socket.getsockname()
        listens = {}

        def look(state):
            with socket.socket() as client:
                listens[state] = client.connect_ex(address) == 0

        process.readiness.listen(look)
        signal.raise_signal(signal.SIGTERM)
        await process.until(State.STOPPING)
        assert listens == {State.READY: True, State.DRAINING: True, State.STOPPING: False}
        process.door.let.set()
        assert await call == 200


async def test_an_open_call_is_cut_after_the_grace():
    async with Process(drain(delay=0, grace=0.2)).running() as process:
        call = process.open_call()
        await process.door.entered.wait()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(httpx2.TransportError):
            await call
        assert await process.exit_code() == 0
    assert process.door.left.is_set()


@pytest.mark.parametrize(
    ("delay", "grace", "cut"),
    [(600, 0.1, State.DRAINING), (0, 600, State.STOPPING)],
    ids=["delay", "grace"],
)
async def test_a_second_signal_cuts_the_waits_short(delay, grace, cut):
    async with Process(drain(delay, grace)).running() as process:
        call = process.open_call()
        await process.door.entered.wait()
        signal.raise_signal(signal.SIGTERM)
        await process.until(cut)
        signal.raise_signal(signal.SIGINT)
        assert await process.exit_code() == 0
        with pytest.raises(httpx2.TransportError):
            await call


async def test_connections_are_closed_after_the_doors_and_before_the_probes():
    async with Process().running() as process:
        signal.raise_signal(signal.SIGTERM)
        await process.exit_code()
        assert process.closed == [200]
        with pytest.raises((httpx2.ConnectError, OSError)):
            await process.probe("livez")


@pytest.mark.parametrize("field", ["http_port", "ops_port"])
async def test_a_taken_port_is_one_line_and_nothing_is_left_behind(field):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = Process(Settings(**{"http_port": 0, "ops_port": 0, field: port}))
        with pytest.raises(StartError) as caught:
            await run(process.gateway, process.settings)
    assert str(caught.value) == (
        f"ONE_MIN_{field.upper()}={port} cannot be bound on 127.0.0.1: the port is taken"
    )
    assert process.closed == ["closed"]
    assert process.states == [State.STARTING]


@pytest.mark.parametrize("part", ["served", "operations"])
async def test_a_server_that_ends_by_itself_takes_the_process_along(part):
    async with Process(drain(delay=600, grace=5)).running() as process:
        getattr(process, part)._server.should_exit = True
        assert await process.exit_code() == 1
    assert "ended" in process.events()
    assert process.states[-1] is State.STOPPING


async def test_background_work_that_fails_takes_the_process_along():
    broken = asyncio.Event()
    process = Process(drain(delay=600, grace=5))

    async def breaks():
        process.readiness.move_to(State.READY)
        await broken.wait()
        raise RuntimeError("broken")

    process.gateway.work["warm-up"] = breaks
    async with process.running():
        broken.set()
        assert await process.exit_code() == 1
    (line,) = [line for line in process.logs if line["event"] == "ended"]
    assert line["part"] == "warm-up"
    assert str(line["exc_info"]) == "broken"


async def test_background_work_that_is_done_or_endless_is_fine():
    cancelled = asyncio.Event()
    process = Process()

    async def endless():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    process.gateway.work["endless"] = endless
    async with process.running():
        await asyncio.sleep(0.05)
        assert not process.run.done()
        signal.raise_signal(signal.SIGTERM)
        assert await process.exit_code() == 0
    assert cancelled.is_set()


async def test_the_ports_that_were_bound_are_told():
    async with Process().running() as process:
        (line,) = [line for line in process.logs if line["event"] == "listening"]
        assert line["http_port"] == process.served._socket.getsockname()[1]
        assert line["ops_port"] > 0
        assert json.dumps(line)


async def test_warming_up_happens_in_threads_and_then_the_process_is_ready():
    readiness, loop = Readiness(), asyncio.get_running_loop()
    seen = []

    def step():
        seen.append(readiness.state)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=5)

    await warm_up(readiness, [step, step])
    assert seen == [State.STARTING] * 2
    assert readiness.is_ready


async def test_a_process_that_cannot_warm_up_is_not_ready():
    readiness = Readiness()

    def broken():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await warm_up(readiness, [broken])
    assert not readiness.is_ready


async def test_a_process_that_was_told_to_stop_while_it_warmed_up_does_not_become_ready():
    readiness = Readiness()
    await warm_up(readiness, [lambda: readiness.move_to(State.DRAINING)])
    assert readiness.state is State.DRAINING
