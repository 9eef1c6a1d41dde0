"""A call that fails leaves nothing to the collector of cycles.

Its frames hold the request, which may be large, and the key. If they and the error that came through
them were a cycle, as many of them would wait as the collector lets gather.
"""

from __future__ import annotations

import gc
import socket
from contextlib import contextmanager

import aiohttp
import grpc
import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from service.errors import ServiceError
from service.upstream.errors import UpstreamError
from tests.conftest import serving
from tests.hostile.wire import chat, conversation, exchange, rpc, spec

pytestmark = pytest.mark.anyio

CALLS = 5
ERRORS = (ServiceError, UpstreamError, aiohttp.ClientError)
FAULTS = ["unauthorized-docs", "ok-but-html", "close-midway", "reset"]
CASES = pytest.mark.parametrize(
    ("stream", "fault"),
    [
        *((False, fault) for fault in FAULTS),
        *((True, fault) for fault in (*FAULTS, "error-midway")),
    ],
)


@contextmanager
def nothing_left():
    """Fail if an error of a call within the context can only be freed by the collector."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        assert [found for found in gc.garbage if isinstance(found, ERRORS)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@CASES
async def test_over_http(gateway, stream, fault):
    request = chat(conversation(f"one two three four [[fault:{fault}]]", stream=stream))
    with nothing_left():
        for _ in range(CALLS):
            assert b'"error"' in await exchange(gateway.http_url, request)


@CASES
async def test_over_grpc(gateway, stream, fault):
    method = "StreamChatCompletion" if stream else "CreateChatCompletion"
    message = getattr(pb, f"{method}Request")(spec=spec(f"one two three four [[fault:{fault}]]"))
    with nothing_left():
        for _ in range(CALLS):
            call = await rpc(gateway, method, message)
            assert await call.code() is not grpc.StatusCode.OK
            del call


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_without_a_connection(stream):
    request = chat(conversation(stream=stream))
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # nobody listens, and nobody else can
        nowhere = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with serving(api_url=nowhere, retries=False) as (_, ports):
            with nothing_left():
                for _ in range(CALLS):
                    received = await exchange(f"http://127.0.0.1:{ports['http_port']}", request)
                    assert received.startswith(b"HTTP/1.1 502 ")
