"""TLS of the gRPC door and of the hop, from PEM files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import structlog

if TYPE_CHECKING:
    from service.settings import Settings

_log = structlog.get_logger("service.rpc")


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Return the credentials of the door, read anew when its files change; None without TLS.

    Raises:
        OSError: A file cannot be read.
    """
    if not settings.tls_cert:
        return None
    files = ServerFiles(settings)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        files.changed,  # type: ignore[arg-type]  # None is legal: "no change"
        require_client_authentication=bool(settings.tls_client_ca),
    )


def channel_credentials(settings: Settings) -> grpc.ChannelCredentials | None:
    """Return the credentials of the hop, with our certificate if there is one; None without TLS.

    Raises:
        OSError: A file cannot be read.
    """
    if not settings.grpc_target_ca:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=_read(settings.grpc_target_ca),
        private_key=_read(settings.tls_key),
        certificate_chain=_read(settings.tls_cert),
    )


class ServerFiles:
    """Certificate, key and client authority of the door, and their state when they were read."""

    def __init__(self, settings: Settings) -> None:
        self._cert, self._key, self._client_ca = (
            settings.tls_cert,
            settings.tls_key,
            settings.tls_client_ca,
        )
        self._stamp = self._stamps()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read the files."""
        pair = (_read(self._key) or b"", _read(self._cert) or b"")
        return grpc.ssl_server_certificate_configuration([pair], _read(self._client_ca))

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what is in the files if they changed, else None: keep what is in use.

        The library calls it at each handshake, on a thread of its own.
        """
        try:
            stamp = self._stamps()
            if stamp == self._stamp:
                return None
            configuration = self.read()
        except OSError as error:
            _log.warning("certificate not reloaded", error=str(error))
            return None
        self._stamp = stamp
        return configuration

    def _stamps(self) -> list[tuple[int, int]]:
        files = [Path(path).stat() for path in (self._cert, self._key, self._client_ca) if path]
        return [(file.st_mtime_ns, file.st_ino) for file in files]


def _read(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
