"""Frames that no gRPC library sends: each ends in one way, and the connection's neighbours go on."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from service.rpc.server import STREAMS_SLACK
from service.settings import Settings
from tests.hostile.wire import KEY, MODEL, SERVICE, Neighbour, address, exchange, rpc
from tests.unit.rpc.test_hostile import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    SETTINGS,
    frame,
    literal,
)

pytestmark = pytest.mark.anyio

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
RST_STREAM, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 3, 6, 7, 8, 9
REQUEST = pb.GetModelRequest(id=MODEL).SerializeToString()
ANSWERED = b"GPT-4o"
SECONDS = 20.0


def head(*headers, method="GetModel", service=SERVICE.full_name, stream=1, flags=END_HEADERS):
    path = literal(b":path", f"/{service}/{method}".encode())
    fixed = [(b":authority", b"x"), (b"content-type", b"application/grpc"), (b"te", b"trailers")]
    key = [(b"authorization", f"Bearer {KEY}".encode())]
    block = b"\x83\x86" + path + b"".join(literal(*each) for each in (*fixed, *key, *headers))
    return frame(HEADERS, flags, stream, block)


def message(body=REQUEST, flag=0):
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


def data(payload, stream=1, flags=END_STREAM):
    return frame(DATA, flags, stream, payload)


async def answer(gateway, sent, until):
    """Send bytes after the preface and read until the answer has `until`, or is at its end."""
    reader, writer = await asyncio.open_connection(*address(gateway.grpc_target))
    received = b""
    try:
        async with asyncio.timeout(SECONDS):
            with contextlib.suppress(ConnectionError):
                writer.write(PREFACE + sent)
                while until not in received and (chunk := await reader.read(1 << 16)):
                    received += chunk
    finally:
        writer.transport.abort()
    return received


def status(code):
    return literal(b"grpc-status", str(code).encode())[1:]


DEADLINES = {"0n": 4, "0S": 4, "-1S": 13, "1": 13, "999999999999H": None, "1x": 13, "S": 13}


@pytest.mark.parametrize(("value", "code"), DEADLINES.items(), ids=DEADLINES)
async def test_an_odd_deadline_ends_or_is_as_good_as_none(gateway, value, code):
    sent = head((b"grpc-timeout", value.encode())) + data(message())
    async with Neighbour(gateway):
        received = await answer(gateway, sent, b"grpc-status")
    if code is None:
        assert ANSWERED in received or status(13) in received
    else:
        assert status(code) in received
        assert ANSWERED not in received


ENDED = {
    "an unknown method": (head(method="Nope") + data(message()), status(12)),
    "an unknown service": (head(service="a.B") + data(message()), status(12)),
    "the method of another case": (head(method="getModel") + data(message()), status(12)),
    "a compressed message without a name": (head() + data(message(flag=1)), status(13)),
    "an unknown compression": (
        head((b"grpc-encoding", b"br")) + data(message(flag=1)),
        status(13),
    ),
    "what does not unpack": (
        head((b"grpc-encoding", b"gzip")) + data(message(b"\x1f\x8b" + b"x" * 50, flag=1)),
        b"grpc-status",
    ),
    "a length of 4 GiB": (
        head() + data(b"\x00\xff\xff\xff\xff" + b"x" * 100, flags=0),
        status(8),
    ),
    "metadata of 14 kB": (
        head(*[(b"x-%d" % number, b"y" * 120) for number in range(110)]) + data(message()),
        b"grpc-status",
    ),
}


@pytest.mark.parametrize(("sent", "expected"), ENDED.values(), ids=ENDED)
async def test_an_odd_call_has_a_status(gateway, sent, expected):
    async with Neighbour(gateway):
        received = await answer(gateway, sent, expected)
    assert expected in received
    for leak in (b"Traceback", b"Error:", b"127.0.0.1"):
        assert leak not in received


AFTERWARDS = {
    "a second message": head() + data(message() + message()),
    "a message after the end": head() + data(message()) + data(message()),
    "a frame after the end": head() + data(message()) + data(b"x"),
    "headers after the end": head() + data(message()) + head(),
}


@pytest.mark.parametrize("sent", AFTERWARDS.values(), ids=AFTERWARDS)
async def test_what_comes_too_much_is_ignored_or_refused(gateway, sent):
    before = len(gateway.simulator.seen)
    async with Neighbour(gateway):
        received = await answer(gateway, sent, b"grpc-status")
    assert received.count(ANSWERED) <= 1
    assert len(gateway.simulator.seen) == before


GARBAGE = {
    "0xff": b"\xff" * 70_000,
    "zeros": b"\x00" * 70_000,
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 512,
    "half a preface": b"PRI * HTTP/2.0\r\n\r\n" + b"x" * 30,
    "no settings": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(PING, 0, 0, bytes(8)),
    "a giant frame": PREFACE
    + b"\xff\xff\xff"
    + bytes([DATA, 0])
    + b"\x00\x00\x00\x01"
    + b"x" * 9999,
    "data without a stream": PREFACE + data(b"x", stream=0),
    "an even stream": PREFACE + head(stream=2),
    "a broken header block": PREFACE + frame(HEADERS, END_HEADERS, 1, b"\xff" * 50),
    "a header block without an end": PREFACE
    + head(flags=0)
    + frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 100)) * 2000,
    "a window of nothing": PREFACE + frame(WINDOW_UPDATE, 0, 0, bytes(4)),
    "a window too wide": PREFACE + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
    "good-bye": PREFACE + frame(GOAWAY, 0, 0, bytes(8)),
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_harms_nobody(gateway, sent):
    async with Neighbour(gateway):
        reader, writer = await asyncio.open_connection(*address(gateway.grpc_target))
        with contextlib.suppress(OSError):  # the server may have hung up already
            writer.write(sent)
            await writer.drain()
            writer.write_eof()
            async with asyncio.timeout(SECONDS):
                while await reader.read(1 << 16):
                    pass
        writer.transport.abort()


async def test_opening_and_cancelling_is_no_way_to_make_work(gateway):
    """https://nvd.nist.gov/vuln/detail/CVE-2023-44487

    The library ends calls of others with CANCELLED while it works this off, unseen by us; what is
    asked here is that it works it off, and serves everybody again.
    """
    reset = b"\x00\x00\x00\x08"
    sent = b"".join(
        head(stream=number) + data(message(), number) + frame(RST_STREAM, 0, number, reset)
        for number in range(1, 4001, 2)
    )
    reader, writer = await asyncio.open_connection(*address(gateway.grpc_target))
    writer.write(PREFACE + sent)
    async with asyncio.timeout(SECONDS):
        await writer.drain()
        await reader.read(1 << 16)
    writer.transport.abort()
    async with asyncio.timeout(SECONDS):
        while not all([await is_served(gateway) for _ in range(10)]):
            pass


async def is_served(gateway):
    call = await rpc(gateway, "GetModel", REQUEST)
    return await call.code() is grpc.StatusCode.OK


async def test_a_connection_is_told_how_many_calls_it_may_open(gateway):
    limit = Settings().max_in_flight + STREAMS_SLACK
    setting = b"\x00\x03" + limit.to_bytes(4, "big")  # RFC 9113, 6.5.2
    assert setting in await answer(gateway, b"", setting)


async def test_the_operations_are_not_reached_by_http_2(gateway):
    received = await exchange(gateway.ops_url, PREFACE + head())
    assert received.startswith(b"HTTP/1.1 400 ")
