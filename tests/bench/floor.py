"""The floor: the least server that does the product's work, to which the product is a ratio.

A raw ASGI application on uvicorn (uvloop, httptools): it takes OpenAI's JSON, makes one call of the
provider over aiohttp, counts prompt and completion once with tiktoken, and answers OpenAI's JSON or
server-sent events, one write for one read. It validates nothing, knows no key, error, time-out,
metric or log, and must never be used for anything but this.
"""

from __future__ import annotations

import argparse
from typing import Any, Final

import aiohttp
import orjson
import tiktoken
import uvicorn

from service.inference.ranks import O200K

_JSON: Final = [(b"content-type", b"application/json")]
_SSE: Final = [(b"content-type", b"text/event-stream; charset=utf-8")]
_HEAD: Final = {"id": "chatcmpl-floor", "object": "chat.completion.chunk", "created": 1760000000}


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--provider", required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        Floor(arguments.provider),
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        backlog=2048,
    )


class Floor:
    """The application."""

    def __init__(self, provider: str) -> None:
        self._whole_url = f"{provider}/api/chat-with-ai"
        self._stream_url = f"{provider}/api/chat-with-ai?isStreaming=true"
        self._encoding = tiktoken.Encoding(
            O200K.name, pat_str=O200K.pattern, mergeable_ranks=O200K.read(), special_tokens={}
        )
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["path"] == "/health":
            await _send(send, b"{}", _JSON)
            return
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        request = orjson.loads(body)
        key = next(value for name, value in scope["headers"] if name == b"authorization")[7:]
        prompt = "\n\n".join(f"{m['role']}: {m['content']}" for m in request["messages"])
        payload = orjson.dumps(
            {
                "type": "UNIFY_CHAT_WITH_AI",
                "model": request["model"],
                "promptObject": {"prompt": prompt},
            }
        )
        url = self._stream_url if request.get("stream") else self._whole_url
        headers = {"API-KEY": key.decode(), "Content-Type": "application/json"}
        async with self._client().post(url, data=payload, headers=headers) as response:
            if request.get("stream"):
                await self._stream(request, prompt, response, send)
            else:
                await self._whole(request, prompt, await response.read(), send)

    async def _whole(self, request: Any, prompt: str, body: bytes, send: Any) -> None:
        text = orjson.loads(body)["aiRecord"]["aiRecordDetail"]["resultObject"][0]
        answer = {
            "id": "chatcmpl-floor",
            "object": "chat.completion",
            "created": 1760000000,
            "model": request["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
            "usage": self._usage(prompt, text),
        }
        await _send(send, orjson.dumps(answer), _JSON)

    async def _stream(
        self, request: Any, prompt: str, response: aiohttp.ClientResponse, send: Any
    ) -> None:
        head = b"data: " + orjson.dumps(_HEAD | {"model": request["model"]})[:-1]
        before = head + b',"choices":[{"index":0,"delta":{"content":'
        after = b'},"finish_reason":null}]}\n\n'
        await send({"type": "http.response.start", "status": 200, "headers": _SSE})
        texts: list[str] = []
        rest = b""
        async for data in response.content.iter_any():
            *events, rest = (rest + data).split(b"\n\n")
            out = []
            for event in events:
                if event.startswith(b"event: content\ndata: "):
                    text = orjson.loads(event[21:])["content"]
                    texts.append(text)
                    out.append(before + orjson.dumps(text) + after)
            if out:
                body = b"".join(out)
                await send({"type": "http.response.body", "body": body, "more_body": True})
        self._usage(prompt, "".join(texts))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    def _usage(self, prompt: str, text: str) -> dict[str, int]:
        count = self._encoding.encode_ordinary
        return {"prompt_tokens": len(count(prompt)), "completion_tokens": len(count(text))}

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


async def _send(send: Any, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    main()
