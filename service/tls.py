"""The TLS files: checked at the start, and the HTTP door's context, which follows them.

The gRPC door and the hop have credentials of their own library (`service.rpc.credentials`).
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from service.settings import SettingsError, variable

if TYPE_CHECKING:
    from service.settings import Settings

RELOAD_INTERVAL: Final = 5.0
"""Seconds between two looks at the files."""

_log = structlog.get_logger("service.tls")


def check_files(settings: Settings) -> None:
    """Raise `SettingsError`, naming the variable, if a file of the settings cannot be used."""
    server_context(settings)
    for field in ("tls_client_ca", "grpc_target_ca", "upstream_ca"):
        path = getattr(settings, field)
        try:
            ssl.create_default_context(cafile=path or None)
        except OSError as error:
            raise SettingsError(
                f"{variable(field)}={path!r} cannot be used: {error.strerror or error}"
            ) from None


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context of the HTTP door, None without TLS.

    Raises:
        SettingsError: The files cannot be used.
    """
    if not settings.tls_cert:
        return None
    try:
        return _load(settings)
    except OSError as error:  # ssl.SSLError is one too
        raise SettingsError(
            f"{variable('tls_cert')}={settings.tls_cert!r} and {variable('tls_key')}="
            f"{settings.tls_key!r} cannot be used: {error.strerror or error}"
        ) from None


async def follow_files(
    context: ssl.SSLContext, settings: Settings, interval: float = RELOAD_INTERVAL
) -> None:
    """Give new connections the files' present content, for ever."""
    served = _stamps(settings)
    while True:
        await asyncio.sleep(interval)
        stamps = _stamps(settings)
        if stamps != served and await asyncio.to_thread(_reload, context, settings):
            served = stamps


def _load(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _reload(context: ssl.SSLContext, settings: Settings) -> bool:
    try:
        _load(settings)  # a context that fails to load half-written files is spoilt: try another
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:
        _log.warning("new certificate not usable yet", error=str(error))
        return False
    _log.info("new certificate in use")
    return True


def _stamps(settings: Settings) -> list[tuple[int, int] | None]:
    return [_stamp(Path(name)) for name in (settings.tls_cert, settings.tls_key)]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
