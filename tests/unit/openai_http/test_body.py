from __future__ import annotations

import asyncio
import json

import pytest

from tests.unit.openai_http.conftest import BODY, open_door

pytestmark = pytest.mark.anyio

LIMIT = 2000
SOON = 5

TYPES = {
    "application/json": 200,
    "application/json; charset=utf-8": 200,
    "Application/JSON ;charset=utf-8": 200,
    "": 415,
    "text/plain": 415,
    "application/jsonp": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
}


@pytest.mark.parametrize(("content_type", "status"), TYPES.items())
async def test_only_json_is_taken(door, content_type, status):
    response = await door.raw_chat(json.dumps(BODY), {"content-type": content_type})
    assert response.status_code == status
    if status == 415:
        error = response.json()["error"]
        assert error["code"] == "unsupported_content_type"
        media_type = content_type.partition(";")[0]
        assert error["message"].startswith(f"Unsupported content type: '{media_type}'.")


@pytest.mark.parametrize(("coding", "status"), [("identity", 200), ("gzip", 415), ("br", 415)])
async def test_compressed_bodies_are_refused(door, coding, status):
    response = await door.raw_chat(json.dumps(BODY), {"content-encoding": coding})
    assert response.status_code == status


def padded(size):
    """A valid body of that many bytes."""
    return json.dumps(BODY).encode().ljust(size)


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_a_body_may_be_as_large_as_the_limit(port, size, status, announced):
    async def pieces():
        for start in range(0, size, 100):
            yield padded(size)[start : start + 100]

    async with open_door(port, max_body_bytes=LIMIT) as door:
        response = await door.raw_chat(padded(size) if announced else pieces())
    assert response.status_code == status
    if status == 413:
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "request_too_large")
        assert str(LIMIT) in error["message"]
        assert door.refused() == {"PAYLOAD_TOO_LARGE": 1}


HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
    b"Content-Type: application/json\r\n"
)


async def test_a_body_that_announces_too_much_is_refused_before_it_comes(port):
    async with open_door(port, max_body_bytes=LIMIT) as door:
        reader, writer = await door.connect()
        writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n")
        async with asyncio.timeout(SOON):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_client_that_leaves_amid_its_body_is_not_answered(door, port, capsys):
    _, writer = await door.connect()
    writer.write(HEAD + b'Content-Length: 100\r\n\r\n{"model":')
    await writer.drain()
    writer.close()
    async with asyncio.timeout(SOON):
        while "status=499" not in (seen := capsys.readouterr().out):
            assert "status=" not in seen
            await asyncio.sleep(0.01)
    assert not port.requests
    assert door.refused() == {}
