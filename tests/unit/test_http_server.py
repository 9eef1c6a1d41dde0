from __future__ import annotations

import asyncio
import re
import signal
import socket

import httpx2
import pytest

from service.http_server import HttpServer

pytestmark = pytest.mark.anyio


async def hello(_scope, _receive, send):
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


async def get(port, host="127.0.0.1"):
    async with httpx2.AsyncClient() as client:
        return await client.get(f"http://{host}:{port}/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_serves_from_its_start_to_its_stop(host):
    server = HttpServer(hello, host, 0)
    port = server.bind()
    await server.start()
    assert (await get(port, host)).text == "hello"
    await server.stop(0)
    with pytest.raises(httpx2.ConnectError):
        await get(port, host)


async def test_the_address_of_all_interfaces_serves_ipv4_too():
    server = HttpServer(hello, "::" if socket.has_dualstack_ipv6() else "0.0.0.0", 0)
    port = server.bind()
    await server.start()
    assert (await get(port)).text == "hello"
    await server.stop(0)


async def test_the_head_says_when_and_not_what_runs():
    server = HttpServer(hello, "127.0.0.1", 0)
    port = server.bind()
    await server.start()
    headers = (await get(port)).headers
    assert re.match(r"\w{3}, \d\d \w{3} \d{4} ", headers["date"])
    assert "server" not in headers
    await server.stop(0)


async def test_a_port_is_had_once():
    first = HttpServer(hello, "127.0.0.1", 0)
    second = HttpServer(hello, "127.0.0.1", first.bind())
    with pytest.raises(OSError, match="in use"):
        second.bind()
    await first.stop(0)


async def test_stop_before_start_lets_the_port_go():
    first = HttpServer(hello, "127.0.0.1", 0)
    port = first.bind()
    await first.stop(0)
    second = HttpServer(hello, "127.0.0.1", port)
    assert second.bind() == port
    await second.stop(0)
    await HttpServer(hello, "127.0.0.1", 0).stop(0)


async def test_start_needs_a_port():
    with pytest.raises(RuntimeError, match="bind"):
        await HttpServer(hello, "127.0.0.1", 0).start()


async def test_its_end_can_be_waited_for():
    server = HttpServer(hello, "127.0.0.1", 0)
    server.bind()
    await server.start()
    end = asyncio.create_task(server.wait_for_termination())
    await asyncio.wait({end}, timeout=0.05)
    assert not end.done()
    await server.stop(0)
    await end


async def test_it_leaves_signals_alone():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    server = HttpServer(hello, "127.0.0.1", 0)
    server.bind()
    await server.start()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    await server.stop(0)


async def test_idle_connections_do_not_hold_up_the_stop():
    server = HttpServer(hello, "127.0.0.1", 0)
    port = server.bind()
    await server.start()
    async with httpx2.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/")
        async with asyncio.timeout(5):
            await server.stop(600)


async def test_a_handler_that_does_not_notice_the_cut_is_cancelled():
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def deaf(_scope, _receive, _send):
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server = HttpServer(deaf, "127.0.0.1", 0)
    port = server.bind()
    await server.start()
    call = asyncio.create_task(get(port))
    await entered.wait()
    async with asyncio.timeout(10):
        await server.stop(0.1)
        await cancelled.wait()
    with pytest.raises(httpx2.TransportError):
        await call
