"""Readers that do not read: the provider is held back, memory is bounded, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import grpc.aio
import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1 import inference_service_pb2_grpc
from tests.hostile.provider import Provider, endless
from tests.hostile.wire import METADATA, address, ask, chat, conversation, http, spec
from tests.lifecycle.process import GatewayProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

READERS = 40
PER_STREAM = 2 << 20
"""Bytes of the gateway's memory for a stream that nobody reads. About half of it was measured: what
has come and is kept as text, and what is on its way. Without bounds the kernel alone takes 4 MiB."""

SECONDS = 60.0


@pytest.fixture
async def provider():
    async with Provider(endless).running() as provider:
        yield provider


@pytest.fixture
async def gateway(provider):
    process = GatewayProcess(api_url=provider.url, stream_timeout=120)
    try:
        await asyncio.to_thread(process.until_probe_says, "ready")
        yield process
    finally:
        await asyncio.to_thread(process.close)


def memory(process):
    [line] = [
        line
        for line in Path(f"/proc/{process._process.pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) * 1024


async def open_unread(url):
    """Ask for a stream and take nothing of it but what the smallest of sockets takes by itself."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)  # noqa: FBT003  # the signature is the library's
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, address(url))
    await loop.sock_sendall(connection, chat(conversation(stream=True)))
    return connection


async def settled(provider):
    """Wait until every answer is held back and return what was written by then."""
    await provider.until_blocked(READERS, SECONDS)
    return provider.written


async def check_others(process):
    url = f"http://127.0.0.1:{process.ports['http_port']}"
    answer = await ask(url, http("GET", "/v1/models", "Authorization: Bearer a-neighbour"))
    assert answer.status == 200


async def test_http_readers_hold_the_provider_back(gateway, provider):
    url = f"http://127.0.0.1:{gateway.ports['http_port']}"
    await check_others(gateway)
    before = memory(gateway)
    connections = [await open_unread(url) for _ in range(READERS)]
    try:
        written = await settled(provider)
        await check_others(gateway)
        grown = (memory(gateway) - before) / READERS
        assert grown < PER_STREAM, f"{grown / 1024:.0f} KiB for each stream"
        assert provider.written == written
    finally:
        for connection in connections:
            connection.close()
    await check_left(gateway)


async def test_grpc_readers_hold_the_provider_back(gateway, provider):
    target = f"127.0.0.1:{gateway.ports['grpc_port']}"
    options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
    await check_others(gateway)
    before = memory(gateway)
    request = pb.StreamChatCompletionRequest(spec=spec())
    async with grpc.aio.insecure_channel(target, options) as channel:
        stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        calls = [stub.StreamChatCompletion(request, metadata=METADATA) for _ in range(READERS)]
        for call in calls:
            assert (await call.read()).HasField("started")
        await settled(provider)
        await check_others(gateway)
        grown = (memory(gateway) - before) / READERS
        assert grown < PER_STREAM, f"{grown / 1024:.0f} KiB for each stream"
        for call in calls:
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call.code()
    await check_left(gateway)


async def check_left(process):
    """Wait until the gateway has noticed that everybody has gone."""
    async with asyncio.timeout(SECONDS):
        while open_calls(await asyncio.to_thread(process.metrics)):  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.1)


def open_calls(text):
    return sum(
        float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("onemin_in_flight{")
    )
