"""The turns of a conversation as plain values.

Each look into a message of protobuf makes an object, and the texts of a request are wanted twice:
for the prompt and for its count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onemin.inference.v1 import chat_pb2


class Turn(msgspec.Struct, frozen=True):
    """One message; `repr` hides what it says, which is the caller's.

    Attributes:
        role: A `ChatRole`.
        name: The speaker's; None without one. The contract allows no empty one.
        texts: Of its parts.
    """

    role: chat_pb2.ChatRole.ValueType
    name: str | None
    texts: list[str]

    def __repr__(self) -> str:
        return f"Turn(role={self.role}, texts={len(self.texts)})"


def turns_of(messages: Sequence[chat_pb2.ChatMessage]) -> Iterator[Turn]:
    """Read one message after another, as they are asked for."""
    # A copy of the references, because iterating a container of protobuf ends with an IndexError
    # whose text costs as much as a message. Texts are read as they are asked for all the same.
    for message in messages[:]:
        parts = message.parts
        # One is what there is nearly always, and takes half the time of looking for a second one.
        texts = [parts[0].text] if len(parts) == 1 else [part.text for part in parts]
        yield Turn(message.role, message.name or None, texts)
