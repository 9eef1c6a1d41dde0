"""The bytes of a streamed answer: prepared once, filled in for each delta.

Every event is one `data:` line and an empty line (https://html.spec.whatwg.org/multipage/
server-sent-events.html). Texts carry no U+0085, U+2028 or U+2029 in the raw, because line readers
such as httpx's `aiter_lines` take them for ends of lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from service.openai_http.encode import finish_reason, usage_object
from service.openai_http.errors import error_object

if TYPE_CHECKING:
    from onemin.inference.v1 import inference_service_pb2 as pb
    from service.errors import ServiceError

DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE: Final = b": keep-alive\n\n"

_LINE_ENDS: Final = (
    ("\u0085".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


class ChunkWriter:
    """Writes the chunks of one answer; all have its id, time and model.

    Args:
        started: The event that opened the answer.
        model: The id to answer under.
        include_usage: Whether a chunk of usage is wanted at the end; the others then say that they
            have none.
    """

    __slots__ = ("_after_text", "_before_delta", "_before_text", "_head", "_include_usage")

    def __init__(
        self,
        started: pb.StreamChatCompletionResponse.Started,
        model: str,
        *,
        include_usage: bool,
    ) -> None:
        head = {
            "id": started.id,
            "object": "chat.completion.chunk",
            "created": started.create_time.seconds,
            "model": model,
            "system_fingerprint": None,
        }
        self._include_usage = include_usage
        self._head = b"data: " + _json_line(head).removesuffix(b"}")
        self._before_delta = self._head + b',"choices":[{"index":0,"delta":'
        self._before_text = self._before_delta + b'{"content":'
        self._after_text = b"}" + self._after_delta(b"null")

    def opening(self) -> bytes:
        """Return the first chunk: the role, said once."""
        delta = b'{"role":"assistant","content":"","refusal":null}'
        return self._before_delta + delta + self._after_delta(b"null")

    def delta(self, text: str) -> bytes:
        """Return the chunk of one piece of text."""
        return self._before_text + _json_line(text) + self._after_text

    def ending(self, completed: pb.StreamChatCompletionResponse.Completed) -> bytes:
        """Return all that follows the last text: why it ended, usage if wanted, and `[DONE]`."""
        reason = b'"%s"' % finish_reason(completed.finish_reason).encode()
        finish = self._before_delta + b"{}" + self._after_delta(reason)
        if not self._include_usage:
            return finish + DONE
        usage = orjson.dumps(usage_object(completed.usage))
        return finish + self._head + b',"choices":[],"usage":' + usage + b"}\n\n" + DONE

    def _after_delta(self, reason: bytes) -> bytes:
        usage = b',"usage":null' if self._include_usage else b""
        return b',"logprobs":null,"finish_reason":' + reason + b"}]" + usage + b"}\n\n"


def error_frame(error: ServiceError) -> bytes:
    """Return the event that ends a broken answer; no finish and no `[DONE]` go with it."""
    return b"data: " + _json_line(error_object(error)) + b"\n\n"


def _json_line(value: object) -> bytes:
    line = orjson.dumps(value)
    if not line.isascii():
        for raw, escaped in _LINE_ENDS:
            line = line.replace(raw, escaped)
    return line
