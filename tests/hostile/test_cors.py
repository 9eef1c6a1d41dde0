"""What web pages of other sites may do, for every kind of answer of the real thing."""

from __future__ import annotations

import pytest

from tests.hostile.wire import AUTH, CHAT, JSON, ask, chat, conversation, exchange, http

pytestmark = pytest.mark.anyio

LISTED = "https://app.example"
ORIGINS = {
    "listed": (LISTED, True),
    "null": ("null", False),
    "a sub-domain": ("https://evil.app.example", False),
    "a suffix": ("https://app.example.evil.com", False),
    "a prefix": ("https://evilapp.example", False),
    "another scheme": ("http://app.example", False),
    "a port": ("https://app.example:8443", False),
    "a slash": ("https://app.example/", False),
    "upper case": ("HTTPS://APP.EXAMPLE", False),
    "a backtick": ("https://app.example`.evil.com", False),
    "two": ("https://app.example https://evil.com", False),
    "any": ("*", False),
}
ENDINGS = {
    "whole": (chat(conversation()), 200),
    "stream": (chat(conversation(stream=True)), 200),
    "a stream that breaks off": (chat(conversation("[[fault:error-midway]]", stream=True)), 200),
    "refused": (chat(conversation(n=2)), 400),
    "not JSON": (chat(b"{"), 400),
    "no key": (http("POST", CHAT, JSON, body=b"{}"), 401),
    "no model": (chat(conversation(model="no-such-model")), 404),
    "no path": (http("GET", "/nowhere"), 404),
    "another method": (http("DELETE", CHAT, AUTH), 405),
    "too large": (http("POST", CHAT, AUTH, JSON, "Content-Length: 99999999", framed=False), 413),
    "another type": (http("POST", CHAT, AUTH, "Content-Type: text/plain", body=b"{}"), 415),
    "a failure of the provider": (chat(conversation("[[fault:bad-gateway-502]]")), 502),
    "open": (http("GET", "/health"), 200),
}


@pytest.fixture(scope="module")
async def listed(simulator):
    from tests.conftest import all_in_one  # noqa: PLC0415  # as a fixture it is the function itself

    async with all_in_one(simulator, cors_origins=f"{LISTED},https://b.example") as running:
        yield running


def from_page(request, origin):
    head, _, body = request.partition(b"\r\n\r\n")
    return head + b"\r\nOrigin: " + origin.encode() + b"\r\n\r\n" + body


def grants(answer):
    return {name: value for name, value in answer.headers.items() if "access-control-" in name}


@pytest.mark.parametrize(("request_", "status"), ENDINGS.values(), ids=ENDINGS)
async def test_every_answer_can_be_read_by_those_that_may(listed, gateway, request_, status):
    mine = await ask(listed.http_url, from_page(request_, LISTED))
    assert mine.status == status
    assert mine.headers["access-control-allow-origin"] == LISTED
    assert "Origin" in mine.headers["vary"]
    foreign = await ask(listed.http_url, from_page(request_, "https://evil.com"))
    assert foreign.status == status
    assert "access-control-allow-origin" not in foreign.headers
    anyone = await ask(gateway.http_url, from_page(request_, "https://evil.com"))
    assert anyone.headers["access-control-allow-origin"] == "*"
    for answer in (mine, foreign, anyone):
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(("origin", "allowed"), ORIGINS.values(), ids=ORIGINS)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "TRACE", "x"])
async def test_a_preflight_grants_exactly_what_is_served(listed, origin, allowed, method):
    lines = (f"Origin: {origin}", f"Access-Control-Request-Method: {method}")
    answer = await ask(listed.http_url, http("OPTIONS", CHAT, *lines))
    assert answer.status == (200 if allowed and method in ("POST", "GET") else 400)
    assert answer.headers.get("access-control-allow-origin") == (LISTED if allowed else None)
    assert "access-control-allow-credentials" not in answer.headers
    assert "DELETE" not in answer.headers.get("access-control-allow-methods", "")


async def test_cookies_change_nothing(gateway):
    lines = ("Origin: https://evil.com", "Cookie: session=1", AUTH)
    answer = await ask(gateway.http_url, http("GET", "/v1/models", *lines))
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/livez"])
async def test_the_operations_port_is_for_no_page(gateway, path):
    answer = await ask(gateway.ops_url, http("GET", path, f"Origin: {LISTED}"))
    assert grants(answer) == {}
    lines = (f"Origin: {LISTED}", "Access-Control-Request-Method: GET")
    assert grants(await ask(gateway.ops_url, http("OPTIONS", path, *lines))) == {}


async def test_asked_for_headers_cannot_add_one(gateway):
    asked = b"Access-Control-Request-Headers: authorization, x\xff, a\tb"
    lines = ("Origin: https://a.example", "Access-Control-Request-Method: POST", asked)
    received = await exchange(gateway.http_url, http("OPTIONS", CHAT, *lines))
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.lower().count(b"access-control-allow-headers:") <= 1
