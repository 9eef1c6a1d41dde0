from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from service.inference.admission import Admission
from service.inference.pipeline import Limits, Pipeline
from service.inference.validation import Validator
from service.observability.metrics import Metrics
from service.readiness import Readiness, State
from service.rpc.remote import RemoteInference, open_channel
from service.stages import Stages
from tests.contract.doors import chosen, serving
from tests.contract.scripted import ScriptedInference

CROWD = ScriptedInference.CROWD
LIMITS = Limits(request_bytes=64 << 10, total_seconds=30, stream_seconds=30)


@pytest.fixture(scope="session", autouse=True)
async def one_loop(anyio_backend):
    """Keep one event loop for all tests: gRPC has one completion queue in a process."""
    yield anyio_backend  # noqa: PT022  # a generator holds the loop, a coroutine would let it go


@pytest.fixture
def port():
    return ScriptedInference()


@pytest.fixture
def readiness():
    readiness = Readiness()
    readiness.move_to(State.READY)
    return readiness


def piped(inner, readiness, validator=None):
    """`inner` in a pipeline of its own, as each process has one."""
    metrics = Metrics("test")
    return Pipeline(
        inner,
        limits=LIMITS,
        admission=Admission(limit=CROWD, limit_per_key=CROWD, in_flight=metrics.in_flight),
        readiness=readiness,
        metrics=metrics,
        validator=validator,
        stages=Stages(),
    )


@asynccontextmanager
async def far(api):
    """`api` over a channel whose health never changes."""
    health = Readiness()
    health.move_to(State.READY)
    async with (
        serving(api, Metrics("test"), health) as (target, _),
        open_channel(chosen(grpc_target=target)) as channel,
    ):
        yield RemoteInference(channel)


@pytest.fixture(params=["local", "remote", "split"])
async def api(request, port, readiness):
    """The service as a door holds it: in its own process, over a channel, and as role `http`."""
    here = piped(port, readiness, Validator())
    if request.param == "local":
        yield here
    else:
        async with far(here) as remote:
            yield remote if request.param == "remote" else piped(remote, readiness)
