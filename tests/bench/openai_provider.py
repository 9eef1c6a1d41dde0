"""A provider that speaks OpenAI's wire, for peers, which do not speak 1min.ai's.

Its answers are as long as those of `provider.py`: 512 bytes, or 64 events of them. It is no brake for
peers that take milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
from itertools import count
from typing import Any, Final

import orjson
import uvicorn

from tests.bench.load import EVENTS

_TEXT: Final = "the answer is a plain text of words that a model might well have said to you "
_PIECES: Final = [(_TEXT * 7)[start : start + 8] for start in range(0, 8 * EVENTS, 8)]
_HEAD: Final = {"id": "chatcmpl-bench", "created": 1760000000, "model": "gpt-4o-mini"}
_USAGE: Final = {"prompt_tokens": 700, "completion_tokens": 120, "total_tokens": 820}

_number = count()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(
        answer,
        port=parser.parse_args().port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )


async def answer(_scope: Any, receive: Any, send: Any) -> None:
    """Answer one request for a chat completion."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    first = f"{next(_number):08d}"  # no two answers are the same text
    if orjson.loads(body).get("stream"):
        await _begin(send, b"text/event-stream")
        for piece in (first, *_PIECES[1:]):
            await _write(send, _event({"content": piece}, None), more=True)
            await asyncio.sleep(0)
        await _write(send, _event({}, "stop") + b"data: [DONE]\n\n")
    else:
        await _begin(send, b"application/json")
        await _write(send, _whole(first + "".join(_PIECES[1:])))


async def _begin(send: Any, media_type: bytes) -> None:
    headers = [(b"content-type", media_type)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _write(send: Any, body: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return orjson.dumps(body)


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    body = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: %b\n\n" % orjson.dumps(body)


if __name__ == "__main__":
    main()
