"""Hostile bytes over raw sockets: what is refused, how, and that nothing of it is served."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.unit.http_protocol.wire import HOST, POST, all_of, connection, exchange, status_of

MALFORMED = {
    "content-length and transfer-encoding": (
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "transfer-encoding and content-length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    ),
    "two content-lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "two equal content-lengths": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "content-length with a sign": POST + b"Content-Length: +4\r\n\r\nabcd",
    "content-length that is no number": POST + b"Content-Length: four\r\n\r\nabcd",
    "unknown transfer-encoding": POST + b"Transfer-Encoding: gzip\r\n\r\nabcd",
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "header folded over two lines": POST + b"X-A: b\r\n c\r\n\r\n",
    "bare LF in the head": b"POST /echo HTTP/1.1\n" + b"Host: a\n\n",
    "space before the colon": POST + b"X-A : b\r\n\r\n",
    "header without a name": POST + b": b\r\n\r\n",
    "NUL in a header": POST + b"X-A: b\0c\r\n\r\n",
    "bare CR in a header": POST + b"X-A: b\rc\r\n\r\n",
    "chunk size that is no number": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "chunk without its end": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
    "no Host": b"GET /echo HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /echo HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
    "two equal Hosts": b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n",
    "an unknown method": b"BREW /echo HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /echo\r\n\r\n",
    "HTTP/2 prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.anyio
@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_not_well_formed_gets_400_and_a_closed_connection(port, echo, request_bytes):
    answer = await exchange(port, request_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert status_of(answer) == 400
    assert b"connection: close" in head.lower()
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.count(b"HTTP/1.1 ") == 1
    assert not any(scope["path"] == "/smuggled" for scope in echo.requests)


def _headers(count):
    return b"".join(b"x-%d: 1\r\n" % number for number in range(count))


TOO_LARGE = {
    "one long header": (POST + b"x: " + b"a" * 40_000 + b"\r\n\r\n",),
    "a long name": (POST + b"a" * 40_000 + b": x\r\n\r\n",),
    "a long URL": (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",),
    "many headers": (POST + _headers(100) + b"\r\n",),
    "a header without an end": (POST + b"x: ", *[b"a" * 1000] * 400),
    "a URL without an end": (b"GET /", *[b"a" * 1000] * 400),
    "a trailer without an end": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx: ",
        *[b"a" * 1000] * 400,
    ),
    "many trailers": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        *[_headers(50)] * 900,
    ),
    "a chunk extension without an end": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;",
        *[b"a" * 1000] * 400,
    ),
}


@pytest.mark.anyio
@pytest.mark.parametrize("pieces", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_an_endless_head_gets_431(port, pieces):
    async with connection(port) as (reader, writer), asyncio.timeout(10):
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        for piece in pieces:
            writer.write(piece)
            await asyncio.wait({answer}, timeout=0.001)
            if answer.done():
                break
        assert status_of(await answer) == 431


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + _headers(97) + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi",
        POST + b"x: " + b"a" * 30_000 + b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
    ],
    ids=["100 headers", "30 kB", "chunked", "expects 100", "HTTP/1.0"],
)
async def test_what_is_unusual_but_legal_is_served(port, request_bytes):
    answer = await exchange(port, request_bytes)
    assert b" 200 OK" in answer
    assert answer.endswith(b"\r\n\r\nhi")


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAA\r\n"
LAST = b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast"
BODIES = {
    "counted": b"Content-Length: 5\r\n\r\nfirst",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n",
    "none": b"\r\n",
    "empty": b"Content-Length: 0\r\n\r\n",
}


@pytest.mark.anyio
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("size", [1, 7, 1000], ids=lambda size: f"pieces of {size}")
async def test_an_offer_to_upgrade_is_ignored_and_the_connection_goes_on(port, echo, body, size):
    sent = POST + OFFER + BODIES[body] + POST + OFFER + BODIES[body] + LAST
    answer = await exchange(port, *(sent[at : at + size] for at in range(0, len(sent), size)))
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    expected = b"first" if body in ("counted", "chunked") else b""
    assert bodies == [expected, expected, b"last"]
    assert [scope["path"] for scope in echo.requests] == ["/echo"] * 3


@pytest.mark.anyio
async def test_many_offers_at_once_are_as_many_requests(port):
    answer = await exchange(port, (POST + OFFER + BODIES["counted"]) * 1500 + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 1501


@pytest.mark.anyio
async def test_a_broken_body_after_an_offer_gets_400(port):
    broken = POST + OFFER + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"
    assert status_of(await exchange(port, broken)) == 400


@pytest.mark.anyio
async def test_a_large_body_is_no_large_head(port):
    body = b"a" * 300_000
    length = str(len(body)).encode()
    head = POST + b"Connection: close\r\nContent-Length: " + length + b"\r\n\r\n"
    assert (await exchange(port, head + body)).endswith(body)


@pytest.mark.anyio
async def test_trailers_do_not_become_headers(port, echo):
    await exchange(
        port,
        POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n"
        b"Authorization: Bearer smuggled\r\n\r\n",
    )
    assert all(name != b"authorization" for name, _ in echo.requests[0]["headers"])


@pytest.mark.anyio
async def test_a_second_request_on_the_connection_has_its_own_limits(port):
    request = POST + _headers(60) + b"x: " + b"a" * 20_000 + b"\r\nContent-Length: 2\r\n\r\nhi"
    async with connection(port) as (reader, writer):
        for _ in range(3):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert status_of(head) == 200
            assert await reader.readexactly(2) == b"hi"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /ec",
        POST,
        POST + b"Content-Length: 9\r\n\r\nhi",
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    ],
    ids=["request line", "head", "body", "chunked body"],
)
@pytest.mark.usefixtures("impatient")
async def test_an_unfinished_request_gets_408(port, request_bytes):
    answer = await exchange(port, request_bytes)
    assert status_of(answer) == 408


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_a_dripping_head_gets_408_whatever_its_pace(port):
    async with connection(port) as (reader, writer):

        async def drip():
            for byte in POST + _headers(90):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(5):
            assert status_of(await reader.readuntil(b"\r\n\r\n")) == 408
        dripping.cancel()


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_says_nothing_is_closed_without_an_answer(port):
    assert await exchange(port) == b""


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_empty_lines_are_no_request(port):
    assert await exchange(port, b"\r\n") == b""
    async with connection(port) as (reader, writer), asyncio.timeout(10):
        writer.write(POST + b"Content-Length: 2\r\n\r\nhi")
        await reader.readuntil(b"\r\n\r\nhi")
        writer.write(b"\r\n")
        assert await all_of(reader) == b""


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_time_in_which_the_application_does_not_read_does_not_count(port, echo):
    body = b"a" * 1_000_000
    head = b"Connection: close\r\nContent-Length: 1000000\r\n\r\n"
    answer = asyncio.create_task(exchange(port, b"POST /late HTTP/1.1\r\n" + HOST + head, body))
    await asyncio.wait({answer}, timeout=0.5)
    assert not answer.done()
    echo.awake.set()
    assert (await answer).endswith(body)


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_the_head_of_a_later_request_is_timed_too(port):
    answer = await exchange(port, POST + b"Content-Length: 2\r\n\r\nhi", b"POST /echo")
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"HTTP/1.1 408" in answer


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_an_application_that_waits_for_the_body_learns_that_it_will_not_come(port, echo):
    await exchange(port, POST + b"Content-Length: 9\r\n\r\nhi")
    async with asyncio.timeout(5):
        await echo.disconnected.wait()


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_a_body_that_nobody_waits_for_any_more_is_timed_too(port):
    answer = await exchange(
        port, b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nhi"
    )
    assert status_of(answer) == 401
    assert answer.count(b"HTTP/1.1 ") == 1
