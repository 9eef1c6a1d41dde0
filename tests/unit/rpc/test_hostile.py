"""What only a client that is not gRPC's own can send."""

from __future__ import annotations

import asyncio
import logging
import struct

import grpc
import pytest

from service.rpc.servicer import SERVICE
from tests.contract.doors import serving

pytestmark = pytest.mark.anyio

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
KEY = (b"authorization", b"Bearer the-key")


def frame(kind, flags, stream, payload):
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream)
    return head + payload


def literal(name, value):
    """A header as HPACK has it without index or Huffman code (RFC 7541, 6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def list_models(*headers):
    """A connection that makes one call with any bytes as its metadata."""
    method_and_scheme = b"\x83\x86"  # POST, http
    path = literal(b":path", f"/{SERVICE}/ListModels".encode())
    rest = [(b":authority", b"x"), (b"content-type", b"application/grpc"), (b"te", b"trailers")]
    block = method_and_scheme + path + b"".join(literal(*each) for each in (*rest, *headers))
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(SETTINGS, 0, 0, b"")
        + frame(HEADERS, END_HEADERS, 1, block)
        + frame(DATA, END_STREAM, 1, bytes(5))
    )


async def answer(target, sent, until):
    """Send bytes and read until the answer has `until`."""
    reader, writer = await asyncio.open_connection(*target.split(":"))
    writer.write(sent)
    received = b""
    async with asyncio.timeout(5):
        while until not in received:
            chunk = await reader.read(4096)
            assert chunk, received
            received += chunk
    writer.close()
    await writer.wait_closed()
    return received


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"Bearer canary\xff\xfe", id="not UTF-8"),
        pytest.param("Bearer canaré".encode(), id="not ASCII"),
        pytest.param(b"Bearer canary\x00", id="NUL"),
        pytest.param(b"Bearer canary\x01", id="control character"),
        pytest.param(b"Basic canary", id="another scheme"),
    ],
)
async def test_a_key_that_is_none_is_refused_and_shown_nowhere(target, port, caplog, value):
    with caplog.at_level(logging.INFO):
        received = await answer(target, list_models((b"authorization", value)), b"grpc-status")
    assert b"INVALID_API_KEY" in received or b"malformed" in received
    assert "canar" not in caplog.text
    assert b"canar" not in received
    assert port.calls == []


@pytest.mark.parametrize("name", [b"x-api-key", b"x-request-id", b"traceparent", b"x-any"])
async def test_a_value_that_is_no_text_harms_nobody(target, port, caplog, name):
    with caplog.at_level(logging.INFO):
        received = await answer(target, list_models(KEY, (name, b"canary\xff")), b"grpc-status")
    assert b"canary" not in received
    assert "canary" not in caplog.text
    assert port.calls[0].request_id.startswith("req_")
    assert port.calls[0].traceparent is None


async def test_a_value_in_binary_form_is_no_credential(target, port):
    sent = list_models((b"authorization-bin", b"QmVhcmVyIGtleQ=="))
    assert b"You didn't provide an API key" in await answer(target, sent, b"grpc-status")
    assert port.calls == []


async def test_a_small_message_that_unpacks_to_a_giant_is_refused(port, metrics, readiness):
    options = [("grpc.max_send_message_length", -1)]
    async with (
        serving(port, metrics, readiness, max_body_bytes=1024) as (target, _),
        grpc.aio.insecure_channel(target, options, compression=grpc.Compression.Gzip) as channel,
    ):
        giant = channel.unary_unary(f"/{SERVICE}/ListModels")(
            bytes(64 << 20), metadata=(("authorization", "Bearer the-key"),)
        )
        assert await giant.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert port.calls == []
