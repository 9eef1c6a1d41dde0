"""Cancels the work on a request whose client has gone away.

A client that leaves while nothing is being sent is noticed only by `receive`; uvicorn's `send`
returns silently after a disconnect.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Receive


class ClientDisconnected(Exception):
    """The client has gone away; there is nobody to answer."""


class WhileConnected:
    """An async context that is cancelled when the client goes away.

    What is awaited within runs in the caller's own task, as under `asyncio.timeout`. Leave the
    context before the last byte is sent: a complete response looks like a disconnect to `receive`.

    Raises:
        ClientDisconnected: On leaving, if that is why the work was cancelled.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._over = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("runs within a task")
        self._work = task
        self._cancelling = task.cancelling()
        self._watching = self._watch()
        task.get_loop().call_soon(self._look)
        return self

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _look(self, _: asyncio.Future[None] | None = None) -> None:
        """Run `_watch` up to where it waits, by hand: a task would cost 3 % of a whole answer."""
        if self._over:
            return
        try:
            awaited: asyncio.Future[None] | None = self._watching.send(None)
        except StopIteration:
            self._gone = True
            self._work.cancel()
            return
        if awaited is None:  # `receive` lets others run, and waits for nothing
            self._work.get_loop().call_soon(self._look)
        else:
            awaited.add_done_callback(self._look)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over = True
        self._watching.close()
        if self._gone and self._work.uncancel() <= self._cancelling:
            raise ClientDisconnected from error
