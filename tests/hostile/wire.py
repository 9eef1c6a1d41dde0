"""Both doors as an attacker reaches them: bytes on a socket, and unchecked messages."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc.aio

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb

KEY = "a-good-key"
MODEL = "gpt-4o-mini"
CHAT = "/v1/chat/completions"
SERVICE = pb.DESCRIPTOR.services_by_name["InferenceService"]
PATIENCE = 30.0

JSON = "Content-Type: application/json"
AUTH = f"Authorization: Bearer {KEY}"
METADATA = (("authorization", f"Bearer {KEY}"),)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self):
        return json.loads(self.body)["error"]


def address(url):
    parts = urlsplit(url if "://" in url else f"//{url}")
    return parts.hostname, parts.port


def http(method, path, *lines, body=b"", framed=True):
    """Return a request that asks the server to close; lines are headers, as text or bytes."""
    head = [f"{method} {path} HTTP/1.1", "Host: gateway", "Connection: close", *lines]
    if framed and (body or method == "POST"):
        head.append(f"Content-Length: {len(body)}")
    raw = [line.encode() if isinstance(line, str) else line for line in (*head, "", "")]
    return b"\r\n".join(raw) + body


def chat(body, *lines):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http("POST", CHAT, AUTH, JSON, *lines, body=data)


def conversation(content="hello", **fields):
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **fields}


async def exchange(url, *pieces):
    """Send pieces and return all that comes back, whoever closes first."""
    reader, writer = await asyncio.open_connection(*address(url))
    # Read from the start: a refusal does not wait for the rest, and a reset would throw it away.
    reading = asyncio.create_task(_rest(reader))
    try:
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            return await reading
    finally:
        writer.transport.abort()
        reading.cancel()


async def _rest(reader):
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            received += chunk
    return received


async def ask(url, *pieces):
    """Send one request and return its answer."""
    return parsed(await exchange(url, *pieces))


def parsed(received):
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name not in headers, f"{name} came twice"
        headers[name] = value
    return Answer(int(status.split(" ")[1]), headers, body)


@contextlib.asynccontextmanager
async def channel(gateway, **options):
    limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(gateway.grpc_target, limits, **options) as opened:
        yield opened


async def rpc(gateway, method, request, metadata=METADATA, **options):
    """Make one call with a message, or with any bytes; return its call when it is done."""
    streams = SERVICE.methods_by_name[method].server_streaming
    async with channel(gateway) as opened:
        kind = opened.unary_stream if streams else opened.unary_unary
        body = request if isinstance(request, bytes) else request.SerializeToString()
        call = kind(f"/{SERVICE.full_name}/{method}")(
            body, metadata=metadata, timeout=PATIENCE, **options
        )
        if streams:  # its end comes after what is not read yet
            with contextlib.suppress(grpc.aio.AioRpcError):
                async for _ in call:
                    pass
        await call.code()
        return call


def spec(text="hello", **fields):
    part = chat_pb2.ContentPart(text=text)
    message = chat_pb2.ChatMessage(role=chat_pb2.CHAT_ROLE_USER, parts=[part])
    return chat_pb2.ChatCompletionSpec(**{"model": MODEL, "messages": [message]} | fields)


class Neighbour:
    """Somebody else, who asks both doors for small things the whole time, and is answered."""

    def __init__(self, gateway):
        self._gateway = gateway
        self._leaving = False
        self._round_ended = asyncio.Event()

    async def __aenter__(self):
        self._asking = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_):
        async with asyncio.timeout(PATIENCE):
            self._round_ended.clear()
            waiting = asyncio.create_task(self._round_ended.wait())
            await asyncio.wait({waiting, self._asking}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            self._leaving = True
            await self._asking

    async def _ask(self):
        key = (("authorization", "Bearer a-neighbour"),)
        while not self._leaving:
            answer = await ask(self._gateway.http_url, http("GET", "/v1/models", AUTH))
            assert answer.status == 200
            call = await rpc(self._gateway, "GetModel", pb.GetModelRequest(id=MODEL), key)
            assert await call.code() is grpc.StatusCode.OK
            self._round_ended.set()
            await asyncio.sleep(0.01)
