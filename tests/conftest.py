from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hypothesis
import pytest

from service import app
from service.readiness import State
from service.settings import load
from service.simulator import Simulator

if TYPE_CHECKING:
    from service.lifecycle import Gateway

hypothesis.settings.register_profile("ours", deadline=None)  # a timing is never a test
hypothesis.settings.load_profile("ours")

KEY = "a-good-key"
"""Any key that is no fault is good for the simulator."""

READY_WITHIN = 20.0


@pytest.fixture(scope="session")
def anyio_backend():
    """One loop for the whole session: two in a process disturb gRPC's completion queue."""
    return "asyncio"


@dataclass(frozen=True)
class Running:
    """A gateway that serves: where its doors are, and the provider behind it."""

    http_url: str
    grpc_target: str
    ops_url: str
    simulator: Simulator
    front: Gateway
    """The process that callers talk to: the only one, or role `http`."""


@asynccontextmanager
async def serving(**settings):
    """Run one process's worth of gateway in this loop; yields it and its ports by setting."""
    variables = {f"ONE_MIN_{name.upper()}": str(value) for name, value in settings.items()}
    defaults = {f"ONE_MIN_{port}_PORT": "0" for port in ("HTTP", "GRPC", "OPS")}
    gateway = app.build(load(defaults | variables))
    servers = gateway.doors | gateway.operations
    ports = {name: server.bind() for name, server in servers.items()}
    for server in servers.values():
        await server.start()
    tasks = [asyncio.create_task(work()) for work in gateway.work.values()]
    try:
        await until_ready(gateway)
        yield gateway, ports
    finally:
        gateway.readiness.move_to(State.STOPPING)
        await asyncio.gather(*(server.stop(0) for server in servers.values()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await gateway.close()


async def until_ready(gateway):
    ready = asyncio.Event()
    gateway.readiness.listen(lambda state: state is State.READY and ready.set())
    async with asyncio.timeout(READY_WITHIN):
        await ready.wait()


@asynccontextmanager
async def all_in_one(simulator, **settings):
    """Run role `all` over a simulator."""
    async with serving(api_url=simulator.url, **settings) as (gateway, ports):
        yield Running(
            http_url=f"http://127.0.0.1:{ports['http_port']}",
            grpc_target=f"127.0.0.1:{ports['grpc_port']}",
            ops_url=f"http://127.0.0.1:{ports['ops_port']}",
            simulator=simulator,
            front=gateway,
        )


@asynccontextmanager
async def split(simulator, **settings):
    """Run role `http` in front of role `grpc` over a simulator."""
    async with serving(role="grpc", api_url=simulator.url, **settings) as (_, far):
        target = f"127.0.0.1:{far['grpc_port']}"
        async with serving(role="http", grpc_target=target, **settings) as (gateway, near):
            yield Running(
                http_url=f"http://127.0.0.1:{near['http_port']}",
                grpc_target=target,
                ops_url=f"http://127.0.0.1:{near['ops_port']}",
                simulator=simulator,
                front=gateway,
            )


DEPLOYMENTS = {"all": all_in_one, "split": split}


@pytest.fixture(scope="session")
async def simulator():
    async with Simulator().running() as simulator:
        yield simulator


@pytest.fixture(scope="session", params=DEPLOYMENTS.values(), ids=DEPLOYMENTS)
async def gateway(request, simulator):
    """The whole product over a simulator, in one process and as two roles."""
    async with request.param(simulator) as running:
        yield running


@pytest.fixture
def deploy():
    """Run a gateway with settings of the test's own: `async with deploy(simulator, models="x")`."""
    return all_in_one
