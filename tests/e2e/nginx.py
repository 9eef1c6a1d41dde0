"""nginx in front of gateways, configured by the annotations of the shipped Ingresses.

It is what the controller ingress-nginx makes of them: one server for each Ingress, its annotations
as directives, the addresses of the ready pods as an upstream, and the controller's own defaults.
"""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.e2e.programs import running, until_listening
from tests.unit.k8s.manifests import named

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator
    from pathlib import Path

PREFIX = "nginx.ingress.kubernetes.io/"
VALUES = {
    "proxy-buffering": "proxy_buffering",
    "proxy-request-buffering": "proxy_request_buffering",
    "proxy-body-size": "client_max_body_size",
    "proxy-http-version": "proxy_http_version",
}
TIMES = {
    "proxy-connect-timeout": "connect_timeout",
    "proxy-read-timeout": "read_timeout",
    "proxy-send-timeout": "send_timeout",
}
ELSEWHERE = {"backend-protocol", "ssl-redirect"}

FRAME = """\
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_x_request_id $req_id {{ default $http_x_request_id; "" $request_id; }}
{servers}
}}
"""

SERVER = """\
  upstream {name} {{
{backends}
    keepalive 320;
  }}
  server {{
    listen 127.0.0.1:{port}{tls};
{directives}
{locations}
  }}
"""

LOCATION = """\
    location {match} {{
      {module}_set_header Host $http_host;
      {module}_set_header X-Request-ID $req_id;
      {module}_set_header Connection "";
      {module}_next_upstream error timeout;
      {module}_next_upstream_tries 3;
      {module}_pass {scheme}://{name};
    }}
"""


@dataclass(frozen=True)
class Server:
    """An Ingress of the overlay `ingress-nginx`, and where its requests come in and go to.

    `read_timeout` (seconds) is that of a proxy which nobody has configured for streams.
    """

    ingress: str
    port: int
    backends: tuple[str, ...]
    read_timeout: float | None = None

    def render(self, certificate: Path | None, scale: float) -> str:
        shipped = named("ingress-nginx", "Ingress", self.ingress)
        annotations = {
            name.removeprefix(PREFIX): value
            for name, value in shipped["metadata"]["annotations"].items()
        }
        module = "grpc" if annotations.get("backend-protocol") == "GRPC" else "proxy"
        directives = _directives(annotations, module, scale)
        if self.read_timeout is not None:
            directives[f"{module}_read_timeout"] = f"{self.read_timeout * 1000:.0f}ms"
        tls = ""
        if certificate is not None:
            tls = " ssl http2"
            directives |= {"ssl_certificate": certificate, "ssl_certificate_key": certificate}
        return SERVER.format(
            name=self.ingress,
            port=self.port,
            tls=tls,
            backends="\n".join(f"    server {each};" for each in self.backends),
            directives="\n".join(f"    {name} {value};" for name, value in directives.items()),
            locations=self._locations(shipped, module),
        )

    def _locations(self, shipped, module):
        scheme = "grpc" if module == "grpc" else "http"
        (rule,) = shipped["spec"]["rules"]
        matches = [
            f"= {path['path']}" if path["pathType"] == "Exact" else path["path"]
            for path in rule["http"]["paths"]
        ]
        return "".join(
            LOCATION.format(match=match, module=module, scheme=scheme, name=self.ingress)
            for match in matches
        )


@dataclass
class Nginx:
    """nginx with these servers; TLS if it has a PEM file of certificate and key.

    Times of the annotations are divided by `scale`.
    """

    program: Path
    folder: Path
    servers: dict[str, Server]
    certificate: Path | None = None
    scale: float = 1.0
    _running: subprocess.Popen[bytes] = field(init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve within the context."""
        command = [self.program, "-e", "stderr", "-p", self.folder, "-c", self._write()]
        async with running(command, self.folder / "nginx.log") as program:
            for server in self.servers.values():
                await until_listening(program, "127.0.0.1", server.port)
            self._running = program
            yield

    def change(self, servers: dict[str, Server]) -> None:
        """Serve as these say from now on; what is open goes on as it began."""
        self.servers = servers
        self._write()
        self._running.send_signal(signal.SIGHUP)

    def _write(self):
        servers = [each.render(self.certificate, self.scale) for each in self.servers.values()]
        path = self.folder / "nginx.conf"
        path.write_text(FRAME.format(folder=self.folder, servers="\n".join(servers)))
        return path


def _directives(annotations, module, scale):
    directives = {}
    for name, value in annotations.items():
        if name in VALUES:
            directives[VALUES[name]] = value
        elif name in TIMES:
            directives[f"{module}_{TIMES[name]}"] = f"{float(value) * 1000 / scale:.0f}ms"
        else:
            assert name in ELSEWHERE, f"{name} is not translated"
    return directives
