"""The requests of the benchmark: ten messages, 3.3 kB, as files that the load generators read."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

MODEL: Final = "gpt-4o-mini"

FRESH: Final = 4000
"""Different requests that come in turn: their forty thousand texts are more than the gateway
remembers the counts of, so that it counts all of them, as the floor does."""

_WORDS: Final = (
    "a about after all also and answer any are as at be because been before between but by call"
    " can change come could day do does each error even example few file find first for from"
    " function get give good had has have here how if in into is it just know last like line"
    " list long look made make many may more most must name need new no not now number of on one"
    " only or order other our out over part people place point question read request right same"
    " see server set should show small so some such table take text than that the their them"
    " then there these they thing think this time to two under up use user value very want was"
    " way we well were what when where which while who will with word work would write year you"
    " your"
)
_ROLES: Final = {
    "system": chat_pb2.CHAT_ROLE_SYSTEM,
    "user": chat_pb2.CHAT_ROLE_USER,
    "assistant": chat_pb2.CHAT_ROLE_ASSISTANT,
}
_MESSAGES: Final = 10
_MESSAGE_CHARS: Final = 290


@dataclass(frozen=True)
class Requests:
    """Files. Those of HTTP hold one body a line; those of gRPC one framed message."""

    fresh: Path
    fresh_streams: Path
    same: Path
    grpc_whole: Path
    grpc_stream: Path

    @classmethod
    def written_to(cls, folder: Path) -> Self:
        """Write them all; the same ones every time."""
        source = random.Random(1)
        conversations = [conversation(source) for _ in range(FRESH)]
        spec = _spec(conversations[0])
        files = cls(*(folder / name for name in cls.__dataclass_fields__))
        files.fresh.write_bytes(_lines(conversations, stream=False))
        files.fresh_streams.write_bytes(_lines(conversations, stream=True))
        files.same.write_bytes(_lines(conversations[:1], stream=False))
        files.grpc_whole.write_bytes(_framed(pb.CreateChatCompletionRequest(spec=spec)))
        files.grpc_stream.write_bytes(_framed(pb.StreamChatCompletionRequest(spec=spec)))
        return files


def conversation(source: random.Random) -> list[dict[str, Any]]:
    """Return the messages of one request."""
    roles = ["system", *(("user", "assistant") * _MESSAGES)[: _MESSAGES - 2], "user"]
    return [{"role": role, "content": prose(source, _MESSAGE_CHARS)} for role in roles]


def prose(source: random.Random, chars: int) -> str:
    """Return a text of common words."""
    return " ".join(source.choices(_WORDS.split(), k=chars // 3))[:chars]


def body(messages: list[dict[str, Any]], *, stream: bool) -> bytes:
    """Return the body that OpenAI's SDK would send."""
    return orjson.dumps({"model": MODEL, "messages": messages, "stream": stream})


def _lines(conversations: list[list[dict[str, Any]]], *, stream: bool) -> bytes:
    return b"\n".join(body(messages, stream=stream) for messages in conversations)


def _spec(messages: list[dict[str, Any]]) -> chat_pb2.ChatCompletionSpec:
    return chat_pb2.ChatCompletionSpec(
        model=MODEL,
        messages=[
            chat_pb2.ChatMessage(
                role=_ROLES[message["role"]],
                parts=[chat_pb2.ContentPart(text=message["content"])],
            )
            for message in messages
        ],
    )


def _framed(message: pb.CreateChatCompletionRequest | pb.StreamChatCompletionRequest) -> bytes:
    encoded = message.SerializeToString()
    return b"\0" + len(encoded).to_bytes(4, "big") + encoded
