"""An HTTP client on a bare socket, which sees how an answer really travelled and ended."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CHAT = "/api/chat-with-ai"
STREAM = "/api/chat-with-ai?isStreaming=true"


def chat_body(prompt, *, model="gpt-4o-mini", **more):
    return {
        "type": "UNIFY_CHAT_WITH_AI",
        "model": model,
        "promptObject": {"prompt": prompt, **more},
    }


@dataclass
class Answer:
    """What arrived. `ended` is complete, cut (closed before the body was), reset, silent, or left."""

    ended: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    head_after: float | None = None
    took: float = 0.0

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def record(self):
        return self.json["aiRecord"]

    @property
    def result(self):
        return self.record["aiRecordDetail"]["resultObject"]

    @property
    def events(self):
        """The events as (name, data) by the SSE rules; JSON data is parsed."""
        text = self.body.decode().replace("\r\n", "\n")
        return [event for block in text.split("\n\n") if (event := _event(block))]

    @property
    def contents(self):
        return [data["content"] for name, data in self.events if name == "content"]

    @property
    def text(self):
        return "".join(self.contents)

    @property
    def names(self):
        """The names of the events, runs of one name as one."""
        names = [name for name, _ in self.events]
        return [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]

    @property
    def streamed_record(self):
        return next(data for name, data in self.events if name == "result")["aiRecord"]

    @property
    def streamed_result(self):
        return self.streamed_record["aiRecordDetail"]["resultObject"]


def _event(block):
    name, data = None, []
    for line in block.split("\n"):
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
    if not any(data):
        return None
    joined = "\n".join(data)
    try:
        return name, json.loads(joined)
    except ValueError:
        return name, joined


@asynccontextmanager
async def connected(url):
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def request_bytes(target, body=None, *, key="good", method="POST", headers=()):
    payload = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    lines = [f"{method} {target} HTTP/1.1", "Host: test", f"Content-Length: {len(payload)}"]
    if key:
        lines.append(f"API-KEY: {key}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + payload


async def ask(url, target, body=None, *, enough=None, patience=10, **options):
    """Send one request, read to its end, until `enough(answer)` or `patience` is lost; hang up."""
    async with connected(url) as (reader, writer):
        start = time.monotonic()
        headers = (*options.pop("headers", ()), "Connection: close")
        writer.write(request_bytes(target, body, headers=headers, **options))
        answer = Answer("cut")
        try:
            async with asyncio.timeout(patience):
                await _read(reader, answer, start, enough)
        except TimeoutError:
            answer.ended = "silent"
        except asyncio.IncompleteReadError as error:
            answer.body += error.partial
        except ConnectionResetError:
            answer.ended = "reset"
        answer.took = time.monotonic() - start
        return answer


async def _read(reader, answer, start, enough):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    answer.head_after = time.monotonic() - start
    status, *lines = head.strip().split("\r\n")
    answer.status = int(status.split()[1])
    answer.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    async for chunk in _body(reader, answer):
        answer.body += chunk
        answer.chunks.append(chunk)
        if enough and enough(answer):
            answer.ended = "left"
            return
    answer.ended = "complete"


async def _body(reader, answer):
    if "content-length" in answer.headers:
        remaining = int(answer.headers["content-length"])
        while remaining:
            chunk = await reader.read(remaining)
            if not chunk:
                raise asyncio.IncompleteReadError(b"", remaining)
            remaining -= len(chunk)
            yield chunk
        return
    while size := int(await _line(reader), 16):
        yield await reader.readexactly(size)
        await _line(reader)
    await _line(reader)


async def _line(reader):
    line = await reader.readline()
    if not line:
        raise asyncio.IncompleteReadError(b"", None)
    return line
