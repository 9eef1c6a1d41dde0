"""How connections end: whose answer arrives, who is cut, and who is missed."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref

import pytest
import trustme

from service.alarm import Alarm
from service.http_server import HttpServer
from tests.unit.http_protocol.wire import (
    HOST,
    POST,
    all_of,
    connection,
    exchange,
    send_for_ever,
    status_of,
)
from tests.unit.timers import timers_of

MEGABYTES = [b"a" * 100_000] * 80
LAST_WORD = {
    "an answer before the body": (
        401,
        b"POST /early HTTP/1.1\r\n"
        + HOST
        + b"Connection: close\r\nContent-Length: 8000000\r\n\r\n",
    ),
    "an answer before the body, HTTP/1.0": (
        401,
        b"POST /early HTTP/1.0\r\nContent-Length: 8000000\r\n\r\n",
    ),
    "a broken body": (400, POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    "a head that is refused": (400, POST + b"Host: b\r\nContent-Length: 8000000\r\n\r\n"),
    "an endless header": (431, POST + b"x: "),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "head"), LAST_WORD.values(), ids=LAST_WORD)
async def test_a_client_that_reads_only_after_it_has_sent_all_gets_its_answer(port, status, head):
    answer = await exchange(port, head, *MEGABYTES)
    assert status_of(answer) == status
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_a_client_that_never_stops_sending_is_cut(port):
    status, head = LAST_WORD["an answer before the body"]
    async with connection(port) as (reader, writer), asyncio.timeout(5):
        writer.write(head)
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == status
        with pytest.raises(ConnectionError):
            await send_for_ever(writer, MEGABYTES[0])


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_a_client_that_neither_reads_nor_stops_sending_is_cut(port):
    async with connection(port) as (_, writer), asyncio.timeout(5):
        writer.write(b"POST /large HTTP/1.0\r\nContent-Length: 8000000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            await send_for_ever(writer, MEGABYTES[0])


@pytest.mark.anyio
async def test_over_tls_a_client_that_reads_last_gets_its_answer_too(echo):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = HttpServer(echo, "127.0.0.1", 0, context)
    port = server.bind()
    await server.start()
    reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
    async with asyncio.timeout(10):
        for piece in (LAST_WORD["an answer before the body"][1], *MEGABYTES):
            writer.write(piece)
            await writer.drain()
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 401
    writer.transport.abort()
    await server.stop(0)


@pytest.mark.anyio
async def test_half_a_head_does_not_delay_a_stop(server, port):
    async with connection(port) as (reader, writer), asyncio.timeout(5):
        writer.write(POST + b"Content-Length: 2\r\n\r\nhi" + POST)
        await reader.readuntil(b"\r\n\r\nhi")
        await server.stop(60)


@pytest.mark.anyio
async def test_a_client_that_has_sent_all_is_not_waited_for(port):
    async with connection(port) as (reader, writer), asyncio.timeout(5):
        writer.write(POST + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi")
        await all_of(reader)
        with pytest.raises(ConnectionError):
            await send_for_ever(writer, b"more")


@pytest.mark.anyio
@pytest.mark.parametrize("second", [b"nonsense\r\n\r\n", POST + b"Host: b\r\n\r\n"])
async def test_garbage_behind_an_open_answer_cuts_it_and_adds_nothing(port, echo, second):
    async with connection(port) as (reader, writer):
        writer.write(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
        received = await reader.readuntil(b"begun\r\n")
        writer.write(second)
        async with asyncio.timeout(5):
            received += await all_of(reader)
            await echo.disconnected.wait()
    assert received.count(b"HTTP/1.1 ") == 1
    assert not received.endswith(b"0\r\n\r\n")


HELD = b"GET /held HTTP/1.1\r\n" + HOST + b"\r\n"
BEHIND = {
    "garbage": b"nonsense\r\n\r\n",
    "a head that is refused": POST + b"Host: b\r\n\r\n",
    "a broken body": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a whole request, then garbage": POST + b"Content-Length: 0\r\n\r\nnonsense\r\n\r\n",
}


@pytest.mark.anyio
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
async def test_a_refusal_is_never_the_answer_to_the_request_before(port, echo, behind, caplog):
    async with connection(port) as (reader, writer), asyncio.timeout(5):
        writer.write(HELD)
        await echo.held.wait()
        writer.write(behind)
        assert await all_of(reader) == b""
        await echo.served.wait()  # what it sends goes nowhere, and is no error
    assert not caplog.records


@pytest.mark.anyio
@pytest.mark.parametrize("behind", [b"", POST, POST + b"Content-Length: 2\r\n\r\nhi" + HELD])
async def test_a_client_that_leaves_is_missed_whatever_it_sent_behind(port, echo, behind):
    async with connection(port) as (_, writer):
        writer.write(HELD + behind)
        await echo.held.wait()
    async with asyncio.timeout(5):
        await echo.served.wait()


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_a_head_behind_an_open_request_has_its_time_from_its_turn_on(port, echo):
    async with connection(port) as (reader, writer), asyncio.timeout(5):
        writer.write(b"GET /late HTTP/1.1\r\n" + HOST + b"\r\n" + POST)
        await asyncio.sleep(0.5)  # longer than a head may take
        echo.awake.set()
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 200
        writer.write(b"Content-Length: 2\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")


@pytest.mark.anyio
async def test_a_lost_connection_does_not_wait_for_the_collector_of_cycles(server, port):
    connections = server._server.server_state.connections
    gc.disable()
    try:
        async with connection(port) as (reader, writer):
            writer.write(b"GET /whole HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            [seen] = map(weakref.ref, connections)
        async with asyncio.timeout(5):
            while connections:  # noqa: ASYNC110  # uvicorn has no event
                await asyncio.sleep(0.01)
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.anyio
async def test_a_connection_that_is_lost_leaves_no_timer(port, echo, monkeypatch):
    timers = timers_of(Alarm, monkeypatch)
    async with connection(port) as (_, writer), asyncio.timeout(5):
        writer.write(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await echo.disconnected.wait()
    assert [timer.cancelled() for timer in timers] == [True]
