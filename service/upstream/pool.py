"""aiohttp's pool of connections as a transport of httpx.

The package httpx-aiohttp is the same thing with an iterator and a generator more between the socket
and its reader. A streamed event is a hundred bytes, so that these cost a sixth of all that is done
for it. It also gives failures other names, and loses what had come before a body broke off.

Failures leave as aiohttp raises them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import httpx

if TYPE_CHECKING:
    import ssl

PIECE_BYTES: Final = 16 << 10
"""The most that is read at once: what is done for a piece must not keep the event loop."""


class Pool(httpx.AsyncBaseTransport):
    """A pool; it belongs to the event loop that makes the first request.

    Args:
        limit: Connections at once, at most.
        tls: What verifies the other side; True for the system's authorities.
        proxy: Where to go through, or None.
        connect_timeout: Seconds to wait for a place in the pool and to make a connection.
    """

    def __init__(
        self, *, limit: int, tls: ssl.SSLContext | bool, proxy: str | None, connect_timeout: float
    ) -> None:
        self._limit = limit
        self._tls = tls
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(connect=connect_timeout, sock_connect=connect_timeout)
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return the head of its answer.

        Raises:
            aiohttp.ClientError: There is none.
        """
        if self._session is None:
            self._session = self._open()
        data: Any = request.stream
        if isinstance(data, httpx.ByteStream):
            data = request.read() or None
        answer = await self._session.request(
            request.method,
            str(request.url),
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            data=data,
            allow_redirects=False,
        )
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=_Body(answer),
            extensions={"reason_phrase": (answer.reason or "").encode(errors="surrogateescape")},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limit, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            proxy=self._proxy,
            auto_decompress=False,
        )


class _Body(httpx.AsyncByteStream):
    """The body of an answer, in the pieces that came."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self._broken: aiohttp.ClientError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._broken is not None:
            raise self._broken
        try:
            chunk = await self._answer.content.read(PIECE_BYTES)
        except aiohttp.ClientError as error:
            if rest := self._rest():
                self._broken = error
                return rest
            raise
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        self._answer.release()
        await self._answer.wait_for_close()

    def _rest(self) -> bytes:
        """Return what had come when the body broke off and was not read yet.

        The reader raises as soon as it knows of the break, whatever is in its buffer.
        """
        self._answer.content.set_exception(None)  # type: ignore[arg-type]  # the one way to read on
        return self._answer.content.read_nowait()
