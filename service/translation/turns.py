"""The turns of a conversation as plain values.

Each look into a message of protobuf makes an object, and the texts of a request are wanted twice:
for the prompt and for its count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from onemin.inference.v1 import chat_pb2


class Turn(msgspec.Struct, frozen=True):
    """One message; `repr` hides what it says, which is the caller's.

    Attributes:
        role: A `ChatRole`.
        name: The speaker's; None without one.
        texts: Of its parts.
    """

    role: chat_pb2.ChatRole.ValueType
    name: str | None
    texts: list[str]

    def __repr__(self) -> str:
        return f"Turn(role={self.role}, texts={len(self.texts)})"


def turns_of(messages: Iterable[chat_pb2.ChatMessage]) -> Iterator[Turn]:
    """Read one message after another, as they are asked for."""
    for message in messages:
        name = message.name if message.HasField("name") else None
        yield Turn(message.role, name, _texts(message.parts))


def _texts(parts: Sequence[chat_pb2.ContentPart]) -> list[str]:
    if len(parts) == 1:  # nearly always; takes half the time of looking for a second one
        return [parts[0].text]
    return [part.text for part in parts]
