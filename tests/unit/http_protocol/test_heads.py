"""Heads of answers that no body follows: they are not kept."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.http_protocol.wire import HOST, POST, all_of, connection

pytestmark = pytest.mark.anyio


async def test_the_answer_to_head_comes_and_the_connection_goes_on(port):
    async with connection(port) as (reader, writer), asyncio.timeout(5):
        for _ in range(2):
            writer.write(b"HEAD /echo HTTP/1.1\r\n" + HOST + b"\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.write(POST + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi")
        assert (await all_of(reader)).endswith(b"\r\n\r\nhi")


async def test_the_word_to_go_on_is_not_kept(port):
    async with connection(port) as (reader, writer), asyncio.timeout(5):
        writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hi")
        assert b"200 OK" in await reader.readuntil(b"hi")


async def test_the_head_of_an_answer_that_breaks_comes(port):
    async with connection(port) as (reader, writer), asyncio.timeout(5):
        writer.write(b"GET /broken HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"200 OK" in await all_of(reader)
