from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
import traceback
from dataclasses import replace

import pytest
import trustme

from service.settings import Settings, SettingsError
from service.upstream.errors import (
    UpstreamError,
    UpstreamMalformed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from service.upstream.pool import HEADERS
from service.upstream.transport import Transport

pytestmark = pytest.mark.anyio

KEY = "canary-key-4711"


@pytest.fixture
async def transport_to():
    opened = []

    def make(url, **settings):
        transport = Transport.from_settings(Settings(api_url=url, **settings))
        opened.append(transport)
        return transport

    yield make
    for transport in opened:
        await transport.aclose()


async def exchange(transport, body=b"{}", *, method="POST", credential=KEY, head_timeout=None):
    endpoint = transport.endpoint(method, "/path?a=b", "application/json")
    endpoint = replace(endpoint, head_timeout=head_timeout)
    async with await transport.send(endpoint, body, credential=credential) as answer:
        return answer.status, await answer.read(1 << 30)


async def failure_of(transport, **options):
    with pytest.raises(UpstreamError) as failed:
        await exchange(transport, **options)
    return failed.value


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def test_what_a_request_says(provider, replies, transport_to):
    provider.script = [replies.whole(b"hello")]
    assert await exchange(transport_to(provider.url), b'{"a": 1}') == (200, b"hello")
    [seen] = provider.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/path?a=b", b'{"a": 1}')
    assert seen.headers == {
        "host": f"localhost:{provider.port}",
        "user-agent": HEADERS["User-Agent"],
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "8",
        "api-key": KEY,
    }
    assert KEY not in seen.target


async def test_a_read_carries_no_key_and_no_body(provider, replies, transport_to):
    provider.script = [replies.whole(b"hello")]
    await exchange(transport_to(provider.url), b"", method="GET", credential=None)
    [seen] = provider.seen
    assert "api-key" not in seen.headers
    assert "content-type" not in seen.headers


@pytest.mark.parametrize("then", ["cut", "abort"])
async def test_what_came_before_a_break_is_read_before_it_is_told(
    provider, replies, transport_to, then
):
    provider.script = [replies.stream(*[b"x" * 10_000] * 5, then=then)]
    transport = transport_to(provider.url)
    endpoint = transport.endpoint("POST", "/path", "text/event-stream")
    async with await transport.send(endpoint, b"{}", credential=KEY) as answer:
        async with asyncio.timeout(5):
            while answer._response.content.exception() is None:  # noqa: ASYNC110  # aiohttp has no event
                await asyncio.sleep(0.01)
        came = b""
        while len(came) < 50_000:
            came += await answer.chunk()
        for _ in range(2):
            with pytest.raises(UpstreamUnavailable) as broken:
                await answer.chunk()
    assert came == b"x" * 50_000
    assert broken.value.__context__ is None


async def test_a_body_that_has_come_is_not_waited_for(provider, replies, transport_to, monkeypatch):
    """No timer is made, which costs more than to read it."""
    provider.script = [replies.whole(b"hello")]
    transport = transport_to(provider.url)
    endpoint = transport.endpoint("POST", "/path", "application/json")
    async with await transport.send(endpoint, b"{}", credential=KEY) as answer:
        monkeypatch.setattr(asyncio.get_running_loop(), "call_at", None)
        body = await answer.read(1 << 30)
        monkeypatch.undo()
    assert body == b"hello"


async def test_a_large_body_arrives_whole(provider, replies, transport_to):
    provider.script = [replies.whole()]
    body = bytes(range(256)) * (3 << 12) + b"end"
    await exchange(transport_to(provider.url), body)
    [seen] = provider.seen
    assert seen.body == body
    assert "transfer-encoding" not in seen.headers


async def test_sequential_calls_use_one_connection(provider, replies, transport_to):
    provider.script = [replies.whole(b"x" * 100_000)]
    transport = transport_to(provider.url)
    for _ in range(20):
        await exchange(transport)
    assert provider.connections == 1


@pytest.mark.parametrize(
    ("pause", "connections"),
    [pytest.param(59.0, 1, id="soon"), pytest.param(61.0, 2, id="late")],
)
async def test_a_connection_waits_a_minute_for_its_next_call(
    provider, replies, transport_to, monkeypatch, pause, connections
):
    provider.script = [replies.whole()]
    transport = transport_to(provider.url)
    await exchange(transport)
    later = time.monotonic() + pause
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: later)
    await exchange(transport)
    assert provider.connections == connections


async def test_cookies_are_forgotten(provider, replies, transport_to):
    provider.script = [replies.whole(headers=["Set-Cookie: session=1; Path=/"])]
    transport = transport_to(provider.url)
    await exchange(transport)
    await exchange(transport)
    assert "cookie" not in provider.seen[1].headers


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_a_redirect_is_an_answer_like_any_other(provider, replies, transport_to, status):
    provider.script = [replies.whole(status=status, headers=[f"Location: {provider.url}/other"])]
    assert (await exchange(transport_to(provider.url)))[0] == int(status[:3])
    assert [seen.target for seen in provider.seen] == ["/path?a=b"]


async def test_a_reason_may_hold_any_bytes(provider, replies, transport_to):
    provider.script = [replies.raw(b"HTTP/1.1 401 \xff no\r\nContent-Length: 1\r\n\r\nx")]
    assert await exchange(transport_to(provider.url)) == (401, b"x")


async def test_nobody_listens(transport_to):
    error = await failure_of(transport_to(f"http://127.0.0.1:{closed_port()}"))
    assert isinstance(error, UpstreamUnavailable)
    assert not error.sent


async def test_a_name_that_does_not_exist(transport_to):
    error = await failure_of(transport_to("http://gateway.invalid"))
    assert isinstance(error, UpstreamUnavailable)
    assert not error.sent


async def test_a_pool_that_stays_full(provider, replies, transport_to):
    provider.script = [replies.silence]
    transport = transport_to(
        provider.url, max_in_flight=1, max_in_flight_per_key=1, connect_timeout=0.1
    )
    async with asyncio.TaskGroup() as group:
        # One more than calls in flight, for the list of models.
        waiting = [group.create_task(exchange(transport)) for _ in range(2)]
        await provider.until(lambda: len(provider.seen) == 2)
        error = await failure_of(transport)
        for task in waiting:
            task.cancel()
    assert isinstance(error, UpstreamTimeout)
    assert not error.sent


async def test_a_reset_after_the_request_was_sent(provider, replies, transport_to):
    provider.script = [replies.abort]
    error = await failure_of(transport_to(provider.url))
    assert isinstance(error, UpstreamUnavailable)
    assert error.sent
    assert len(provider.seen) == 1


async def test_a_kept_connection_that_is_gone_is_not_used_twice_for_one_request(
    provider, replies, transport_to
):
    provider.script = [replies.whole(), replies.abort, replies.whole()]
    transport = transport_to(provider.url)
    await exchange(transport)
    error = await failure_of(transport)
    assert isinstance(error, UpstreamUnavailable)
    assert error.sent
    assert len(provider.seen) == 2


async def test_no_head_in_time(provider, replies, transport_to):
    provider.script = [replies.silence]
    error = await failure_of(transport_to(provider.url), head_timeout=0.05)
    assert isinstance(error, UpstreamTimeout)
    assert error.sent
    await provider.until(lambda: not provider.open, 1.0)


async def test_a_silence_within_the_body(provider, replies, transport_to):
    provider.script = [replies.stream(b"begun", then="hold")]
    error = await failure_of(transport_to(provider.url, idle_timeout=0.05))
    assert isinstance(error, UpstreamTimeout)
    await provider.until(lambda: not provider.open, 1.0)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", id="cut length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", id="cut chunks"
        ),
    ],
)
async def test_a_body_that_breaks_off(provider, replies, transport_to, raw):
    provider.script = [replies.raw(raw)]
    error = await failure_of(transport_to(provider.url))
    assert isinstance(error, UpstreamUnavailable)
    assert error.sent


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"SMTP ready\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", id="huge header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", id="bad length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", id="bad chunk"
        ),
    ],
)
async def test_what_is_not_http_is_malformed(provider, replies, transport_to, raw):
    provider.script = [replies.raw(raw)]
    error = await failure_of(transport_to(provider.url))
    assert isinstance(error, UpstreamMalformed)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "x"])
async def test_a_compressed_body_is_refused_unread(provider, replies, transport_to, encoding):
    bomb = gzip.compress(b"0" * 10_000_000)
    provider.script = [replies.whole(bomb, headers=[f"Content-Encoding: {encoding}"])]
    assert isinstance(await failure_of(transport_to(provider.url)), UpstreamMalformed)


@pytest.mark.parametrize("codings", [("gzip", "identity"), ("identity", "gzip")])
async def test_one_of_several_codings_is_enough(provider, replies, transport_to, codings):
    headers = [f"Content-Encoding: {coding}" for coding in codings]
    provider.script = [replies.whole(b"x", headers=headers)]
    assert isinstance(await failure_of(transport_to(provider.url)), UpstreamMalformed)


async def test_a_body_that_says_identity_is_read(provider, replies, transport_to):
    provider.script = [replies.whole(b"x", headers=["Content-Encoding: identity"])]
    assert await exchange(transport_to(provider.url)) == (200, b"x")


@pytest.mark.parametrize(
    "failing",
    ["reset", "not HTTP", "silence", "cut", "compressed"],
)
async def test_no_failure_holds_the_key(provider, replies, transport_to, failing):
    provider.script = [
        {
            "reset": replies.abort,
            "not HTTP": replies.raw(b"HTTP/1.1 abc\r\n\r\n"),
            "silence": replies.silence,
            "cut": replies.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"),
            "compressed": replies.whole(b"x", headers=["Content-Encoding: gzip"]),
        }[failing]
    ]
    error = await failure_of(transport_to(provider.url), head_timeout=0.2)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


async def test_tls_is_verified(provider, replies, transport_to, tmp_path):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with type(provider)().running(ssl=context) as secure:
        secure.script = [replies.whole(b"hello")]
        error = await failure_of(transport_to(secure.url))
        assert isinstance(error, UpstreamUnavailable)
        assert not error.sent
        assert not secure.seen
        trusting = transport_to(secure.url, upstream_ca=str(tmp_path / "ca.pem"))
        assert await exchange(trusting) == (200, b"hello")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_a_wrong_setting(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"^ONE_MIN_UPSTREAM_CA='.*ca.pem' is not legal"):
        Transport.from_settings(Settings(upstream_ca=str(path)))


async def test_requests_go_through_the_proxy(provider, replies, transport_to):
    provider.script = [replies.whole(b"hello")]
    proxy = provider.url.replace("http://", "http://user:word@")
    transport = transport_to("http://api.example", upstream_proxy=proxy)
    assert await exchange(transport) == (200, b"hello")
    [seen] = provider.seen
    assert seen.target == "http://api.example/path?a=b"
    assert seen.headers["proxy-authorization"].startswith("Basic ")


async def test_a_proxy_that_refuses_means_no_connection(provider, replies, transport_to):
    provider.script = [replies.raw(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")]
    error = await failure_of(transport_to("https://api.example", upstream_proxy=provider.url))
    assert isinstance(error, UpstreamUnavailable)
    assert not error.sent
    assert KEY not in repr(provider.seen)
