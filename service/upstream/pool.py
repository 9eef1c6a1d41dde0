"""aiohttp's pool of connections to the provider, as the settings describe it.

Failures leave as aiohttp raises them.
"""

from __future__ import annotations

import ssl
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import aiohttp

from service.settings import SettingsError, variable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable

    from multidict import CIMultiDict

    from service.settings import Settings

HEADERS: Final = {
    "User-Agent": f"onemin-gateway/{version('onemin-gateway')}",
    # A compressed body can be a thousand times larger than what was counted.
    "Accept-Encoding": "identity",
}
"""Of every request."""

IDLE_SECONDS: Final = 60.0
"""How long a connection waits for its next request. A new one costs that request the handshakes of
TCP and TLS. The provider's front keeps idle ones for 400 seconds
(https://developers.cloudflare.com/fundamentals/reference/connection-limits/); address translation on
the way forgets them after a few minutes."""


class Pool:
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

    @classmethod
    def from_settings(cls, settings: Settings) -> Pool:
        """Return the pool that `settings` describe.

        Raises:
            SettingsError: The file of `upstream_ca` cannot be used.
        """
        return cls(
            # One more than there may be calls: the list of models must not wait for them.
            limit=settings.max_in_flight + 1,
            tls=_tls(settings.upstream_ca),
            proxy=settings.upstream_proxy or None,
            connect_timeout=settings.connect_timeout,
        )

    def request(
        self,
        method: str,
        url: str,
        headers: CIMultiDict[str],
        body: bytes | AsyncIterable[bytes] | None,
    ) -> Awaitable[aiohttp.ClientResponse]:
        """Send one request; gives the head of its answer, whose body is yet to be read.

        Raises:
            aiohttp.ClientError: There is none.
        """
        if self._session is None:
            self._session = self._open()
        return self._session.request(method, url, headers=headers, data=body, allow_redirects=False)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limit, ssl=self._tls, keepalive_timeout=IDLE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            proxy=self._proxy,
            headers=HEADERS,
            auto_decompress=False,
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
