"""What holds for every stream of a chat completion, checked where both doors pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onemin.inference.v1 import inference_service_pb2 as pb


class InvariantBroken(Exception):
    """A stream broke its contract: our bug, never the caller's fault."""


class StreamInvariants:
    """One `started` first, then non-empty `delta`s, one `completed` last."""

    __slots__ = ("_completed", "_started")

    def __init__(self) -> None:
        self._started = False
        self._completed = False

    def check(self, events: Iterable[pb.StreamChatCompletionResponse]) -> set[str]:
        """Return the names of their kinds; raise `InvariantBroken` if one may not come now."""
        kinds: set[str] = set()
        for event in events:
            kind = event.WhichOneof("event")
            if kind is None or self._completed or (kind == "started") is self._started:
                raise InvariantBroken(f"{kind} out of order")
            if kind == "delta" and not event.delta.text:
                raise InvariantBroken("an empty delta")
            self._started = True
            self._completed = kind == "completed"
            kinds.add(kind)
        return kinds

    def close(self) -> None:
        """Raise `InvariantBroken` if the stream may not end without an error now."""
        if not self._completed:
            raise InvariantBroken("a stream ended without its last event")
