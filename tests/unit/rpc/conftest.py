from __future__ import annotations

import grpc.aio
import pytest

from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.observability.metrics import Metrics
from service.readiness import Readiness, State
from tests.contract.doors import serving
from tests.contract.scripted import ScriptedInference


@pytest.fixture(scope="session", autouse=True)
async def one_loop(anyio_backend):
    """Keep one event loop for all tests: gRPC has one completion queue in a process."""
    yield anyio_backend  # noqa: PT022  # a generator holds the loop, a coroutine would let it go


@pytest.fixture
def metrics():
    return Metrics("test")


@pytest.fixture
def readiness():
    readiness = Readiness()
    readiness.move_to(State.READY)
    return readiness


@pytest.fixture
def port():
    return ScriptedInference()


@pytest.fixture
async def target(port, metrics, readiness):
    async with serving(port, metrics, readiness) as (target, _):
        yield target


@pytest.fixture
async def channel(target):
    async with grpc.aio.insecure_channel(target) as channel:
        yield channel


@pytest.fixture
def stub(channel):
    return InferenceServiceStub(channel)
