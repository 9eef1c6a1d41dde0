from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest

from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.errors import Reason
from service.readiness import State
from service.rpc.health import HealthServicer
from service.rpc.server import MESSAGE_SLACK, GrpcServer, server_options
from service.rpc.status import from_rpc_error
from service.stages import Stages
from tests.contract.doors import chosen, serving
from tests.contract.scripted import STREAM, ScriptedInference, completed, spec, started

pytestmark = pytest.mark.anyio

KEY = (("authorization", "Bearer the-key"),)
HANG = ScriptedInference.HANG
PING_FLOOR = "grpc.http2.min_ping_interval_without_data_ms"


def server(port, metrics, readiness, **variables):
    return GrpcServer(port, chosen(**variables), metrics, readiness, Stages())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_taken_port_is_an_error_of_the_system(port, metrics, readiness, capfd, host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        door = server(port, metrics, readiness, grpc_port=number, host=host)
        with pytest.raises(OSError, match="in use") as failure:
            door.bind()
    assert failure.value.errno == errno.EADDRINUSE
    assert capfd.readouterr().err == ""


async def test_a_foreign_address_is_an_error_of_the_system(port, metrics, readiness):
    with pytest.raises(OSError, match="assign") as failure:
        server(port, metrics, readiness, grpc_port=0, host="192.0.2.1").bind()
    assert failure.value.errno == errno.EADDRNOTAVAIL


async def test_a_name_without_an_address_is_an_error_of_the_system(port, metrics, readiness):
    with pytest.raises(OSError):
        server(port, metrics, readiness, grpc_port=0, host="no-such-host.invalid").bind()


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def test_an_ipv6_address_is_bound_where_there_is_one(port, metrics, readiness):
    if not has_ipv6():
        with pytest.raises(OSError):
            server(port, metrics, readiness, grpc_port=0, host="::1").bind()
        return
    async with serving(port, metrics, readiness, host="::1") as (target, _):
        number = target.rpartition(":")[2]
        async with grpc.aio.insecure_channel(f"ipv6:[::1]:{number}") as channel:
            assert await list_models(channel)


def list_models(channel):
    stub = InferenceServiceStub(channel)
    return stub.ListModels(pb.ListModelsRequest(), metadata=KEY, timeout=5)


SECOND_PROCESS = """
import asyncio, sys
import grpc
from service.rpc.server import server_options
from service.settings import load

async def main():
    server = grpc.aio.server(options=server_options(load({})))
    try:
        server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    except RuntimeError:
        print("refused")

asyncio.run(main())
"""


async def test_a_second_process_cannot_share_the_port(target):
    number = target.rpartition(":")[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SECOND_PROCESS,
        number,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    output, _ = await process.communicate()
    assert output == b"refused\n"


@pytest.fixture
async def pinging(request, readiness):
    """A Watch of a client that pings four times a second, on a server with other options."""
    server = grpc.aio.server(options=request.param)
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(readiness), server)
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [
        ("grpc.keepalive_time_ms", 250),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{number}", options) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(service=""))
        await watch.read()
        yield asyncio.ensure_future(watch.code())
        watch.cancel()
    readiness.move_to(State.STOPPING)
    await server.stop(0)


OURS = server_options(chosen())
# The floor of 10 s is scaled down, as are the 20 s and more of ordinary clients.
SCALED = [(name, 100 if name == PING_FLOOR else value) for name, value in OURS]
WITHOUT = [option for option in OURS if option[0] != PING_FLOOR]


def test_clients_may_ping_every_twenty_seconds():
    assert dict(OURS)[PING_FLOOR] < 20_000


@pytest.mark.parametrize("pinging", [SCALED], indirect=True, ids=["ours"])
async def test_pings_above_the_floor_are_no_offence(pinging):
    done, _ = await asyncio.wait([pinging], timeout=5)
    assert not done


@pytest.mark.parametrize("pinging", [WITHOUT], indirect=True, ids=["default"])
async def test_pings_under_the_floor_are_one(pinging):
    async with asyncio.timeout(10):
        assert await pinging is grpc.StatusCode.UNAVAILABLE


async def test_the_limit_of_the_library_is_above_ours(port, metrics, readiness):
    limit = 64 << 10
    async with (
        serving(port, metrics, readiness, max_body_bytes=limit) as (target, _),
        grpc.aio.insecure_channel(target) as channel,
    ):
        stub = InferenceServiceStub(channel)
        request = pb.CountTokensRequest(spec=spec("x" * (limit + MESSAGE_SLACK - 1000)))
        assert await stub.CountTokens(request, metadata=KEY)
        request = pb.CountTokensRequest(spec=spec("x" * (limit + MESSAGE_SLACK)))
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.CountTokens(request, metadata=KEY)
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert from_rpc_error(failure.value).reason is Reason.PAYLOAD_TOO_LARGE


async def test_an_old_connection_is_asked_to_leave_and_its_stream_stays(port, metrics, readiness):
    port.events = [started(), HANG, completed()]
    async with (
        serving(port, metrics, readiness, connection_age=0.2, connection_age_grace=30) as door,
        grpc.aio.insecure_channel(door[0]) as channel,
    ):
        rpc = InferenceServiceStub(channel).StreamChatCompletion(STREAM, metadata=KEY)
        assert await rpc.read() == started()
        async with asyncio.timeout(10):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        port.released.set()
        assert await rpc.read() == completed()
        assert await rpc.code() is grpc.StatusCode.OK


async def test_a_stop_lets_open_calls_end_within_the_grace(port, metrics, readiness):
    port.events = [started(), HANG, completed()]
    async with (
        serving(port, metrics, readiness) as (target, server),
        grpc.aio.insecure_channel(target) as channel,
    ):
        rpc = InferenceServiceStub(channel).StreamChatCompletion(STREAM, metadata=KEY)
        assert await rpc.read() == started()
        stopping = asyncio.ensure_future(server.stop(30))
        await asyncio.sleep(0)
        port.released.set()
        assert await rpc.read() == completed()
        async with asyncio.timeout(5):
            await stopping
            await server.wait_for_termination()


async def test_a_stop_cuts_what_is_open_after_the_grace(port, metrics, readiness):
    port.events = [started(), HANG]
    async with (
        serving(port, metrics, readiness) as (target, server),
        grpc.aio.insecure_channel(target) as channel,
    ):
        rpc = InferenceServiceStub(channel).StreamChatCompletion(STREAM, metadata=KEY)
        assert await rpc.read() == started()
        async with asyncio.timeout(5):
            await server.stop(0.1)
        assert await rpc.code() is grpc.StatusCode.UNAVAILABLE
        async with asyncio.timeout(5):
            await port.ended.wait()
