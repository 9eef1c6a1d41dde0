"""A provider that speaks OpenAI's wire, for peers, which do not speak 1min.ai's.

Its answers are as long as those of `provider.py`: 512 bytes, or 64 events of them. It is no brake for
peers that take milliseconds.
"""

from __future__ import annotations

import argparse
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import orjson
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.bench.load import EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

_TEXT: Final = "the answer is a plain text of words that a model might well have said to you "
_PIECES: Final = [(_TEXT * 7)[start : start + 8] for start in range(0, 8 * EVENTS, 8)]
_HEAD: Final = {"id": "chatcmpl-bench", "created": 1760000000, "model": "gpt-4o-mini"}
_USAGE: Final = {"prompt_tokens": 700, "completion_tokens": 120, "total_tokens": 820}

_number = count()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    uvicorn.run(serve, port=port, lifespan="off", log_level="warning", access_log=False)


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request for a chat completion."""
    request = await Request(scope, receive).json()
    pieces = [f"{next(_number):08d}", *_PIECES[1:]]  # no two answers are the same text
    response: Response
    if request.get("stream"):
        response = StreamingResponse(_events(pieces), media_type="text/event-stream")
    else:
        response = JSONResponse(_whole("".join(pieces)))
    await response(scope, receive, send)


async def _events(pieces: list[str]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield _event({"content": piece}, None)
    yield _event({}, "stop") + b"data: [DONE]\n\n"


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    body = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: %b\n\n" % orjson.dumps(body)


def _whole(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}


if __name__ == "__main__":
    main()
