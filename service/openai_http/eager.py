"""Takes what is already there, and does something before it has to wait for more.

What the provider sends at its end often comes with the last text. Written by itself it would cost a
write; text that is held back for time would be late. `EagerReader` writes exactly when nothing more
is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable

T = TypeVar("T")


class EagerReader(Generic[T]):
    """Awaiting it gives the next item, or None at the end.

    Args:
        source: Where they come from.
        before_waiting: Awaited, in the same task, when the next item is not there yet. What it
            raises is raised within `source`, at the place that waits, as a cancellation would be.
    """

    __slots__ = ("_before_waiting", "_source")

    def __init__(
        self, source: AsyncGenerator[T], before_waiting: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._source = source
        self._before_waiting = before_waiting

    def __await__(self) -> Generator[Any, Any, T | None]:
        """Run the source by hand: it is done without a pause, or pauses with what it waits for."""
        step = self._source.__anext__().__await__()
        try:
            pause = next(step)
            before: Iterable[Any] = self._before_waiting().__await__()
            while True:
                try:
                    yield from before
                    yield pause
                except BaseException as error:  # noqa: BLE001  # the source must see it, to be closed
                    pause = step.throw(error)
                    before = ()
                else:
                    # The loop resumes with None, as this does; an item comes without an exception.
                    item: T = yield from step
                    return item
        except StopIteration as done:
            at_once: T = done.value
            return at_once
        except StopAsyncIteration:
            return None
