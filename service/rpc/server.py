"""`GrpcServer`: the gRPC door with health and reflection."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING, Final

import grpc.aio
from grpc_health.v1 import health_pb2_grpc  # type: ignore[import-untyped]  # no py.typed

from service.rpc.credentials import server_credentials
from service.rpc.health import HealthServicer
from service.rpc.reflection import add_reflection
from service.rpc.servicer import SERVICE, Servicer

if TYPE_CHECKING:
    from service.inference.api import InferenceApi
    from service.observability.metrics import Metrics
    from service.readiness import Readiness
    from service.settings import Settings
    from service.stages import Stages

MESSAGE_SLACK: Final = 1 << 20
"""Bytes by which the library's limit is above ours, so that our own answer comes first."""

STREAMS_SLACK: Final = 1024
"""Calls of one connection beyond those that are served at once."""


class GrpcServer:
    """The gRPC door; made and used within one running event loop.

    `bind`, `start`, `stop`, in this order. Open health Watches end when `readiness` says STOPPING.
    """

    def __init__(
        self,
        api: InferenceApi,
        settings: Settings,
        metrics: Metrics,
        readiness: Readiness,
        stages: Stages,
    ) -> None:
        logging.getLogger("grpc._cython.cygrpc").addFilter(_shows_no_metadata)
        self._settings = settings
        self._server = grpc.aio.server(options=server_options(settings))
        handlers = Servicer(api, metrics, stages).handlers()
        generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(readiness), self._server)
        if settings.reflection:
            add_reflection(self._server)

    def bind(self) -> int:
        """Take the port and return it.

        Raises:
            OSError: The port is taken, the address is not ours, or a TLS file is not usable.
        """
        host, port = self._settings.host, self._settings.grpc_port
        _probe(host, port)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        credentials = server_credentials(self._settings)
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError:
            cause = "" if credentials is None else ", or certificate and key are not a pair"
            raise OSError(f"cannot listen on {address}{cause}") from None

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Take no new calls, let the open ones end within `grace` seconds, then cut them."""
        await self._server.stop(grace)

    async def wait_for_termination(self) -> None:
        """Wait until the server has stopped."""
        # Shielded: to cancel this wait would cancel that of `stop` as well.
        await asyncio.shield(self._server.wait_for_termination())


def server_options(settings: Settings) -> list[tuple[str, int]]:
    """Return the options of the server, each one for a reason."""
    message_limit = settings.max_body_bytes + MESSAGE_SLACK
    return [
        # A second process must fail; by default it shares the port.
        ("grpc.so_reuseport", 0),
        # The default of 4 MiB refuses long conversations.
        ("grpc.max_receive_message_length", message_limit),
        ("grpc.max_send_message_length", message_limit),
        # Without a limit one connection could open calls without end and send nothing more. Calls
        # over the limit wait in the client, so it is above ours, which refuses with a reason.
        ("grpc.max_concurrent_streams", settings.max_in_flight + STREAMS_SLACK),
        # The default of 300 s answers the pings of ordinary clients with GOAWAY too_many_pings
        # (https://github.com/grpc/grpc/issues/33661).
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients look names up again only when a connection ends
        # (https://github.com/grpc/grpc/issues/12295).
        ("grpc.max_connection_age_ms", round(settings.connection_age * 1000)),
        ("grpc.max_connection_age_grace_ms", round(settings.connection_age_grace * 1000)),
    ]


def _shows_no_metadata(record: logging.LogRecord) -> bool:
    """Drop the records in which the library shows a value that is no UTF-8: it may be a key."""
    return not str(record.msg).startswith("Invalid encoding on")


def _probe(host: str, port: int) -> None:
    """Bind the address once and let it go: the library names no cause, and prints its own.

    A name may have addresses that this machine lacks, as `localhost` without IPv6; one will do.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    lacking = [error for address in addresses if (error := _lack(*address))]
    if len(lacking) == len(addresses):
        raise lacking[0]


def _lack(family: int, kind: int, proto: int, _: str, address: tuple[str, int]) -> OSError | None:
    try:
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return error
        raise
    return None
