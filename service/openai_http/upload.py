"""`Upload`: the body of a request on its way in, so that a refusal need not cut it off.

A client that writes its whole body before it reads sees the refusal only if its writing succeeds. A
proxy that is answered amid an upload stops reading, and Envoy then closes the connection, so that
its client has a reset in place of the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.openai_http.exchange import header

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope


class Upload:
    """What comes of one request; its `receive` stands in for that of the server."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._ended = False
        self._size = 0

    async def receive(self) -> Message:
        """Pass a message on."""
        message = await self._receive()
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        return message

    async def discard(self, limit: int) -> None:
        """Read what is still to come and drop it, as long as the whole is at most `limit` bytes.

        A client that waits for the word to send is not told to, and need not.
        """
        announced = header(self._scope, b"content-length") or ""
        if header(self._scope, b"expect") or (announced.isdecimal() and int(announced) > limit):
            return
        while not self._ended and self._size <= limit:
            await self.receive()
