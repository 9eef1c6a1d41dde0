"""HTTP to the provider.

Nothing is ever sent twice or to another place than it was meant for: no redirect is followed, and no
cookie kept, with somebody's key attached.

The phases of a call have time-outs of their own. Making the connection is bounded by the pool; the
wait for the head, where it is bounded, and each wait for a chunk are bounded here, because the
pool's own read time-out also runs while nobody waits.

Failures leave as `UpstreamError`, without the exception they came from: those of aiohttp hold the
request's headers, and so the key.
"""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urljoin

import aiohttp
from multidict import CIMultiDict

from service.upstream.errors import (
    UpstreamError,
    UpstreamMalformed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from service.upstream.pool import Pool
from service.waits import TooLate, Waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.settings import Settings

PIECE_BYTES: Final = 16 << 10
"""The most that is read at once: what is done for a piece must not keep the event loop."""

_SLICE: Final = 256 << 10
_CAUSES: Final = 16
"""Of an error, that are looked at: aiohttp's have two or three."""

_NOT_CONNECTED: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientHttpProxyError,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a request goes: its parts are prepared once and shared by all requests."""

    method: str
    url: str
    headers: CIMultiDict[str]
    head_timeout: float | None


class Transport:
    """The provider's host, reached through one pool of connections.

    Args:
        base_url: Its scheme, host and port.
        pool: The connections.
        first_byte_timeout: Seconds to wait for a head that comes at once, connecting included.
        idle_timeout: Seconds to wait for each chunk of a body.
    """

    def __init__(
        self, base_url: str, pool: Pool, *, first_byte_timeout: float, idle_timeout: float
    ) -> None:
        self._base_url = base_url
        self._pool = pool
        self._first_byte_timeout = first_byte_timeout
        self._idle_timeout = idle_timeout

    @classmethod
    def from_settings(cls, settings: Settings) -> Transport:
        """Return the transport that `settings` describe.

        Raises:
            SettingsError: The file of `upstream_ca` cannot be used.
        """
        return cls(
            settings.api_url,
            Pool.from_settings(settings),
            first_byte_timeout=settings.first_byte_timeout,
            idle_timeout=settings.idle_timeout,
        )

    def endpoint(
        self, method: str, path: str, accept: str, *, head_at_once: bool = False
    ) -> Endpoint:
        """Prepare requests to `path`, which may have a query.

        Args:
            method: `GET` or `POST`.
            path: Where to, at the provider's host.
            accept: The media type that is wanted.
            head_at_once: Whether the head of an answer comes at once, and not with the whole of it.
        """
        headers = CIMultiDict({"Accept": accept})
        if method == "POST":
            headers["Content-Type"] = "application/json"
        head_timeout = self._first_byte_timeout if head_at_once else None
        return Endpoint(method, urljoin(self._base_url, path), headers, head_timeout)

    async def send(
        self, endpoint: Endpoint, body: bytes = b"", *, credential: str | None = None
    ) -> Answer:
        """Send one request; its answer is a context, and leaving that early closes the connection.

        Args:
            endpoint: Where to.
            body: The whole body.
            credential: The key, printable ASCII; goes into the header `API-KEY` and nowhere else.

        Raises:
            UpstreamUnavailable: No connection, or it broke before the answer.
            UpstreamTimeout: No connection or no answer in time.
            UpstreamMalformed: What came is not HTTP, or is compressed.
        """
        headers = endpoint.headers.copy()
        if credential is not None:
            headers["API-KEY"] = credential
        data: bytes | AsyncIterator[bytes] | None = body or None
        if len(body) > _SLICE:
            headers["Content-Length"] = str(len(body))
            data = _slices(body)
        response = self._pool.request(endpoint.method, endpoint.url, headers, data)
        failure: UpstreamError
        try:
            if endpoint.head_timeout is None:
                return Answer(await response, self._idle_timeout)
            async with asyncio.timeout(endpoint.head_timeout):
                return Answer(await response, self._idle_timeout)
        except aiohttp.ClientError as error:  # some are also the next
            failure = _failure_of_head(error)
            _let_go(error)
        except TimeoutError:
            failure = UpstreamTimeout("no answer in time")
        # Outside of the handler, so that the failure has no context that could show the key.
        try:
            raise failure
        finally:
            del failure  # its traceback has this frame

    async def aclose(self) -> None:
        """Close the pool."""
        await self._pool.aclose()


class Answer:
    """The head of an answer, and its body to be read once, within an async context."""

    __slots__ = ("_broken", "_is_compressed", "_response", "_waits", "media_type", "status")

    def __init__(self, response: aiohttp.ClientResponse, idle_timeout: float) -> None:
        headers = response.headers
        self.status = response.status
        self.media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        # Each of several counts: of two codings the body has both.
        codings = {value.strip().lower() for value in headers.getall("Content-Encoding", ())}
        self._is_compressed = bool(codings - {"identity", ""})
        self._response = response
        self._broken = ""
        """Why nothing more can come, once what came before is read."""
        self._waits = Waits(each=idle_timeout)

    @property
    def reason(self) -> str:
        """What stands beside the status, in ASCII."""
        return (self._response.reason or "").encode("ascii", "ignore").decode()

    @property
    def retry_after(self) -> str | None:
        """The header `Retry-After`, the last of several: a proxy may have added its own."""
        values: list[str] = self._response.headers.getall("Retry-After", [])
        return values[-1] if values else None

    @property
    def is_over(self) -> bool:
        """Whether all of the body has come, and was read."""
        return self._response.content.at_eof()

    async def chunk(self) -> bytes:
        """Return the next piece of the body as it arrived; empty at its clean end.

        Raises:
            UpstreamTimeout: None came in time.
            UpstreamUnavailable: The body broke off.
            UpstreamMalformed: The body is compressed, which was not asked for.
        """
        if self._is_compressed:
            raise UpstreamMalformed("the answer is compressed")
        if self._broken:
            raise UpstreamUnavailable(self._broken)
        content = self._response.content
        failure: UpstreamError
        try:
            if content.is_eof():  # all of it has come: nothing is waited for
                return content.read_nowait(PIECE_BYTES)
            with self._waits:
                return await content.read(PIECE_BYTES)
        except TooLate:
            failure = UpstreamTimeout("the answer stopped coming")
        except aiohttp.ClientError as error:
            broken = f"the answer broke off: {type(error).__name__}"
            _let_go(error)
            if rest := self._rest():
                self._broken = broken
                return rest
            failure = UpstreamUnavailable(broken)
        try:
            raise failure
        finally:
            del failure  # its traceback has this frame

    async def read(self, limit: int) -> bytes:
        """Return the rest of the body, or the part of it that reaches over `limit` bytes."""
        body = bytearray()
        while len(body) <= limit and (chunk := await self.chunk()):
            body += chunk
        return bytes(body)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        self._waits.close()
        self._response.release()
        await self._response.wait_for_close()

    def _rest(self) -> bytes:
        """Return what had come when the body broke off and was not read yet.

        The reader raises as soon as it knows of the break, whatever is in its buffer.
        """
        content = self._response.content
        content.set_exception(None)  # type: ignore[arg-type]  # the one way to read on
        return content.read_nowait()


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    """Cut a large body so that writing it leaves the loop room; aiohttp warns of whole ones."""
    for start in range(0, len(body), _SLICE):
        yield body[start : start + _SLICE]


def _let_go(error: BaseException | None) -> None:
    """Clear the frames that `error` and its causes came through.

    They hold the body, and some hold the error: together they would wait for the collector of cycles.
    What still runs is left as it is.
    """
    for _ in range(_CAUSES):
        if error is None:
            return
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _failure_of_head(error: aiohttp.ClientError) -> UpstreamError:
    name = type(error).__name__
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamTimeout("no connection in time", sent=False)
    if isinstance(error, _NOT_CONNECTED):
        return UpstreamUnavailable(f"no connection: {name}", sent=False)
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamMalformed(f"the answer is not HTTP: {name}")
    return UpstreamUnavailable(f"the connection broke: {name}")
