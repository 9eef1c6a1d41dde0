"""Two readings of one request: the door has one, answers once, and the provider sees at most one.

What the protocol refuses is tabled in `tests/unit/http_protocol/test_limits.py`; here it stands in
front of the real application, with a second request hidden inside of the first.
"""

from __future__ import annotations

import json

import pytest

from tests.hostile.wire import AUTH, CHAT, JSON, Neighbour, conversation, exchange

pytestmark = pytest.mark.anyio

HIDDEN_BODY = json.dumps(conversation("smuggled")).encode()
HIDDEN = (
    f"POST {CHAT} HTTP/1.1\r\nHost: gateway\r\n{AUTH}\r\n{JSON}\r\n"
    f"Content-Length: {len(HIDDEN_BODY)}\r\n\r\n"
).encode() + HIDDEN_BODY
VISIBLE = json.dumps(conversation("visible")).encode()
START = f"POST {CHAT} HTTP/1.1\r\nHost: gateway\r\n{AUTH}\r\n{JSON}\r\n".encode()
EMPTY_CHUNK = b"0\r\n\r\n"


def sized(*lines, body):
    return START + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def length(number):
    return b"Content-Length: %d" % number


CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = {
    "CL.TE": sized(length(len(EMPTY_CHUNK + HIDDEN)), CHUNKED, body=EMPTY_CHUNK + HIDDEN),
    "TE.CL": sized(CHUNKED, length(4), body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
    "CL.CL": sized(length(0), length(len(HIDDEN)), body=HIDDEN),
    "CL.0": sized(b"Content-Length: 0, %d" % len(HIDDEN), body=HIDDEN),
    "CL with a plus": sized(b"Content-Length: +0", body=HIDDEN),
    "CL in hex": sized(b"Content-Length: 0x0", body=HIDDEN),
    "CL with a tab": sized(b"Content-Length:\t0\t0", body=HIDDEN),
    "CL below zero": sized(b"Content-Length: -1", body=HIDDEN),
    "CL over 64 bits": sized(b"Content-Length: 18446744073709551616", body=HIDDEN),
    "TE twice": sized(CHUNKED, b"Transfer-Encoding: identity", body=EMPTY_CHUNK + HIDDEN),
    "TE with a vertical tab": sized(b"Transfer-Encoding: \x0bchunked", body=EMPTY_CHUNK + HIDDEN),
    "TE before a space": sized(b"Transfer-Encoding : chunked", body=EMPTY_CHUNK + HIDDEN),
    "TE unknown": sized(b"Transfer-Encoding: xchunked", body=EMPTY_CHUNK + HIDDEN),
    "TE folded": sized(b"Transfer-Encoding:\r\n chunked", body=EMPTY_CHUNK + HIDDEN),
    "TE of an older version": sized(CHUNKED, body=b"").replace(b"HTTP/1.1", b"HTTP/1.0")
    + EMPTY_CHUNK
    + HIDDEN,
    "a bare LF before a header": sized(b"X: a\nContent-Length: 0", body=HIDDEN),
    "a chunk size with a sign": sized(CHUNKED, body=b"+0\r\n\r\n" + HIDDEN),
    "a chunk size in 0x": sized(CHUNKED, body=b"0x0\r\n\r\n" + HIDDEN),
    "a chunk size over 64 bits": sized(CHUNKED, body=b"1" + b"0" * 16 + b"\r\n\r\n" + HIDDEN),
    "a chunk with bare LFs": sized(CHUNKED, body=b"0\n\n" + HIDDEN),
    "a chunk too long for its size": sized(CHUNKED, body=b"1\r\nab\r\n0\r\n\r\n" + HIDDEN),
    "an extension with a bare LF": sized(CHUNKED, body=b"0;a\nb\r\n\r\n" + HIDDEN),
    "two Hosts": sized(b"Host: other", length(0), body=HIDDEN),
    "an upgrade": sized(
        b"Connection: Upgrade", b"Upgrade: h2c", CHUNKED, length(0), body=EMPTY_CHUNK + HIDDEN
    ),
}


@pytest.mark.parametrize("sent", SMUGGLED.values(), ids=SMUGGLED)
async def test_nothing_but_400_and_the_end_of_the_connection(gateway, sent):
    before = len([each for each in gateway.simulator.seen if "smuggled" in str(each.body)])
    async with Neighbour(gateway):
        received = await exchange(gateway.http_url, sent)
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in received.lower()
    after = len([each for each in gateway.simulator.seen if "smuggled" in str(each.body)])
    assert after == before


async def test_honest_requests_in_a_row_are_each_answered(gateway):
    first = sized(length(len(VISIBLE)), body=VISIBLE)
    last = sized(length(len(VISIBLE)), b"Connection: close", body=VISIBLE)
    received = await exchange(gateway.http_url, first + last)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2
