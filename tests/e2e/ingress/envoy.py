"""Envoy in front of a gateway, configured by the shipped routes of the Gateway API.

It is what Envoy Gateway makes of them: a listener for each route, time-outs from the HTTPRoute, and
none for the GRPCRoute, as k8s/README.md tells operators to have it.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.programs import running, until_listening
from tests.unit.k8s.manifests import named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.e2e.programs import Gateway

TYPES = "type.googleapis.com/envoy.extensions"
CONNECTION_MANAGER = f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = f"{TYPES}.filters.http.router.v3.Router"
DOWNSTREAM_TLS = f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

SILENCE = 300.0
"""Seconds without a byte after which Envoy ends a stream, unless it is told otherwise."""


@dataclass(frozen=True)
class Envoy:
    """Envoy with a listener for each door. Times of the routes are divided by `scale`.

    `silence` (seconds) is how long nothing may come of a stream, not divided.
    """

    program: Path
    folder: Path
    gateway: Gateway
    ports: dict[str, int]
    certificate: Path
    scale: float
    silence: float | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve within the context."""
        path = self.folder / "envoy.json"
        path.write_text(json.dumps(self._bootstrap(), indent=1))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        command = [self.program, "--config-path", path, *options]
        async with running(command, self.folder / "envoy.log") as program:
            for port in self.ports.values():
                await until_listening(program, "127.0.0.1", port)
            yield

    def _bootstrap(self):
        ports = self.gateway.ports
        listeners = [
            self._listener("http", self._http_routes()),
            self._listener("grpc", self._grpc_routes()),
        ]
        clusters = [
            _cluster("http", ports["http_port"], {"http_protocol_options": {}}),
            _cluster("grpc", ports["grpc_port"], {"http2_protocol_options": {}}),
        ]
        return {"static_resources": {"listeners": listeners, "clusters": clusters}}

    def _http_routes(self):
        (rule,) = named("gateway-api", "HTTPRoute", "onemin-gateway")["spec"]["rules"]
        timeout = float(rule["timeouts"]["request"].removesuffix("s")) / self.scale
        action = {"cluster": "http", "timeout": f"{timeout}s"}
        kinds = {"PathPrefix": "path_separated_prefix", "Exact": "path"}
        paths = [match["path"] for match in rule["matches"]]
        return [{"match": {kinds[path["type"]]: path["value"]}, "route": action} for path in paths]

    def _grpc_routes(self):
        (rule,) = named("gateway-api", "GRPCRoute", "onemin-gateway")["spec"]["rules"]
        action = {"cluster": "grpc", "timeout": "0s"}
        return [
            {"match": {"path_separated_prefix": f"/{match['method']['service']}"}, "route": action}
            for match in rule["matches"]
        ]

    def _listener(self, door, routes):
        silence = self.silence or SILENCE / self.scale
        manager = {
            "@type": CONNECTION_MANAGER,
            "stat_prefix": door,
            "stream_idle_timeout": f"{silence}s",
            "route_config": {"virtual_hosts": [{"name": door, "domains": ["*"], "routes": routes}]},
            "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
        }
        chain = {
            "filters": [{"name": "http", "typed_config": manager}],
            "transport_socket": {"name": "tls", "typed_config": self._tls()},
        }
        return {"name": door, "address": _address(self.ports[door]), "filter_chains": [chain]}

    def _tls(self):
        file = {"filename": str(self.certificate)}
        certificates = [{"certificate_chain": file, "private_key": file}]
        common = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": certificates}
        return {"@type": DOWNSTREAM_TLS, "common_tls_context": common}


def _cluster(name, port, protocol):
    endpoint = {"endpoint": {"address": _address(port)}}
    options = {
        "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
        "explicit_http_config": protocol,
    }
    return {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {HTTP_OPTIONS: options},
    }


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
