"""HTTP to the provider.

It speaks the transport API of httpx, to aiohttp's pool of connections: a prepared `httpx.Request`
goes straight to `handle_async_request`. What `httpx.AsyncClient` does beyond that
(redirects, cookies, auth, hooks) is not wanted with somebody's key attached, and costs more than
the request itself. Nothing is ever sent twice or to another place than it was meant for.

The phases of a call have time-outs of their own. Making the connection is bounded by the pool; the
wait for the head, where it is bounded, and each wait for a chunk are bounded here, because the
pool's own read time-out also runs while nobody waits.

Failures leave as `UpstreamError`, without the exception they came from: those of aiohttp hold the
request's headers, and so the key.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Self

import aiohttp
import httpx

from service.settings import SettingsError, variable
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

USER_AGENT: Final = f"onemin-gateway/{version('onemin-gateway')}"

_SLICE: Final = 256 << 10
_NOT_CONNECTED: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientHttpProxyError,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a request goes: its parts are prepared once and shared by all requests."""

    method: str
    url: httpx.URL
    headers: list[tuple[bytes, bytes]]
    head_timeout: float | None


class Transport:
    """The provider's host, reached through one pool of connections.

    Args:
        base_url: Its scheme, host and port.
        inner: What carries the requests.
        first_byte_timeout: Seconds to wait for a head that comes at once, connecting included.
        idle_timeout: Seconds to wait for each chunk of a body.
    """

    def __init__(
        self,
        base_url: str,
        inner: httpx.AsyncBaseTransport,
        *,
        first_byte_timeout: float,
        idle_timeout: float,
    ) -> None:
        self._first_byte_timeout = first_byte_timeout
        self._base_url = httpx.URL(base_url)
        self._inner = inner
        self._idle_timeout = idle_timeout

    @classmethod
    def from_settings(
        cls, settings: Settings, inner: httpx.AsyncBaseTransport | None = None
    ) -> Transport:
        """Return the transport that `settings` describe; `inner` takes the place of the network.

        Raises:
            SettingsError: The file of `upstream_ca` cannot be used.
        """
        return cls(
            settings.api_url,
            inner or _network(settings),
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
        url = self._base_url.join(path)
        headers = {
            "Host": url.netloc.decode(),
            "User-Agent": USER_AGENT,
            "Accept": accept,
            # A compressed body can be a thousand times larger than what was counted on the way in.
            "Accept-Encoding": "identity",
        }
        if method == "POST":
            headers["Content-Type"] = "application/json"
        head_timeout = self._first_byte_timeout if head_at_once else None
        return Endpoint(method, url, httpx.Headers(headers).raw, head_timeout)

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
        request = self._request(endpoint, body, credential)
        return Answer(await self._head(request, endpoint.head_timeout), self._idle_timeout)

    async def aclose(self) -> None:
        """Close the pool."""
        await self._inner.aclose()

    def _request(self, endpoint: Endpoint, body: bytes, credential: str | None) -> httpx.Request:
        headers = [*endpoint.headers]
        if credential is not None:
            headers.append((b"API-KEY", credential.encode()))
        if endpoint.method == "POST":
            headers.append((b"Content-Length", b"%d" % len(body)))
        # Given as a stream, because httpx would work out once more what the headers say already.
        stream = _Slices(body) if len(body) > _SLICE else httpx.ByteStream(body)
        return httpx.Request(endpoint.method, endpoint.url, headers=headers, stream=stream)

    async def _head(self, request: httpx.Request, head_timeout: float | None) -> httpx.Response:
        failure: UpstreamError
        try:
            async with asyncio.timeout(head_timeout):
                return await self._inner.handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError) as error:  # some are also the next
            failure = _failure_of_head(error)
        except TimeoutError:
            failure = UpstreamTimeout("no answer in time")
        # Outside of the handler, so that the failure has no context that could show the key.
        raise failure


class Answer:
    """The head of an answer, and its body to be read once, within an async context."""

    def __init__(self, response: httpx.Response, idle_timeout: float) -> None:
        self.status = response.status_code
        self.reason = response.reason_phrase
        raw = [(name.lower(), value.decode("latin-1")) for name, value in response.headers.raw]
        headers = dict(raw)
        self.retry_after = headers.get(b"retry-after")
        self.media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        # Each of several counts: of two codings the body has both.
        codings = {value.strip().lower() for name, value in raw if name == b"content-encoding"}
        self._is_compressed = bool(codings - {"identity", ""})
        self._response = response
        self._chunks = response.stream.__aiter__()  # type: ignore[union-attr]  # async, as the transport
        self._waits = Waits(each=idle_timeout)

    async def chunk(self) -> bytes:
        """Return the next piece of the body as it arrived; empty at its clean end.

        Raises:
            UpstreamTimeout: None came in time.
            UpstreamUnavailable: The body broke off.
            UpstreamMalformed: The body is compressed, which was not asked for.
        """
        if self._is_compressed:
            raise UpstreamMalformed("the answer is compressed")
        failure: UpstreamError
        try:
            with self._waits:
                return await anext(self._chunks, b"")
        except TooLate:
            failure = UpstreamTimeout("the answer stopped coming")
        except (httpx.TransportError, aiohttp.ClientError) as error:
            failure = UpstreamUnavailable(f"the answer broke off: {type(error).__name__}")
        raise failure

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
        await self._response.aclose()


class _Slices(httpx.AsyncByteStream):
    """A large body, cut so that writing it leaves the loop room; aiohttp warns of whole ones."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _SLICE):
            yield self._body[start : start + _SLICE]


def _network(settings: Settings) -> Pool:
    return Pool(
        # One more than there may be calls: the list of models must not wait for them.
        limit=settings.max_in_flight + 1,
        tls=_tls(settings.upstream_ca),
        proxy=settings.upstream_proxy or None,
        connect_timeout=settings.connect_timeout,
    )


def _tls(authorities: str) -> ssl.SSLContext | bool:
    """Return what verifies the provider; aiohttp has one for the system's authorities (True)."""
    if not authorities:
        return True
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise SettingsError(
            f"{variable('upstream_ca')}={authorities!r} is not legal: expected "
            f"the path of a PEM file ({error.strerror or error})"
        ) from None


def _failure_of_head(error: httpx.TransportError | aiohttp.ClientError) -> UpstreamError:
    name = type(error).__name__
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamTimeout("no connection in time", sent=False)
    if isinstance(error, _NOT_CONNECTED):
        return UpstreamUnavailable(f"no connection: {name}", sent=False)
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamMalformed(f"the answer is not HTTP: {name}")
    return UpstreamUnavailable(f"the connection broke: {name}")
