"""Refusals amid an upload, as a client sees them that reads when all is written."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.openai_http.conftest import open_door

pytestmark = pytest.mark.anyio

LIMIT = 2000
SOON = 5


def head(*headers, content_type="application/json", key="Authorization: Bearer k"):
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", f"Content-Type: {content_type}"]
    return "\r\n".join([*lines, key, *headers, "", ""]).encode()


async def write_half(door, request_head, size):
    """Send a head and half of a body; return the connection, on which no answer is due yet."""
    reader, writer = await door.connect()
    writer.write(request_head + b" " * (size // 2))
    await writer.drain()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.readline()
    return reader, writer


REFUSED = {
    "too large": (head(f"Content-Length: {2 * LIMIT}"), b"413"),
    "no key": (head(f"Content-Length: {2 * LIMIT}", key="X-None: 1"), b"401"),
    "no json": (head(f"Content-Length: {2 * LIMIT}", content_type="text/plain"), b"415"),
}


@pytest.mark.parametrize(("request_head", "status"), REFUSED.values(), ids=REFUSED)
async def test_a_refusal_comes_after_the_body_and_the_connection_stays(port, request_head, status):
    async with open_door(port, max_body_bytes=LIMIT) as door:
        reader, writer = await write_half(door, request_head, 2 * LIMIT)
        writer.write(b" " * LIMIT)
        async with asyncio.timeout(SOON):
            assert (await reader.readline()).split()[1] == status
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(SOON):
            while b"HTTP/1.1 200 " not in await reader.readline():
                pass
        writer.close()


async def test_a_body_without_end_is_not_taken_without_end(port):
    async with open_door(port, max_body_bytes=LIMIT) as door:
        reader, writer = await door.connect()
        writer.write(head("Transfer-Encoding: chunked"))
        writer.write(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        for _ in range(4):
            writer.write(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        async with asyncio.timeout(SOON):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


WAITS = {
    "for the word to send": head(f"Content-Length: {2 * LIMIT}", "Expect: 100-continue"),
    "with far too much": head(f"Content-Length: {2 * LIMIT + 1}"),
}


@pytest.mark.parametrize("request_head", WAITS.values(), ids=WAITS)
async def test_a_client_is_refused_before_it_sends(port, request_head):
    async with open_door(port, max_body_bytes=LIMIT) as door:
        reader, writer = await door.connect()
        writer.write(request_head)
        async with asyncio.timeout(SOON):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_client_that_leaves_amid_a_refused_body_ends_the_request(port, capsys):
    async with open_door(port, max_body_bytes=LIMIT) as door:
        _, writer = await write_half(door, head(f"Content-Length: {2 * LIMIT}"), 2 * LIMIT)
        writer.close()
        async with asyncio.timeout(SOON):
            while "reason=PAYLOAD_TOO_LARGE" not in capsys.readouterr().out:  # noqa: ASYNC110  # a log line has no event
                await asyncio.sleep(0.01)
