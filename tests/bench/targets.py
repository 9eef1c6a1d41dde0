"""All that runs during a benchmark: the provider and, over it, everything that is compared."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.processes import Server, free_port, started, until_listening, until_ok
from tests.bench.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.processes import Cores

ROOT: Final = Path(__file__).parents[2]

LIMITS: Final = {"ONE_MIN_MAX_IN_FLIGHT": "2048", "ONE_MIN_MAX_IN_FLIGHT_PER_KEY": "2048"}
"""The only settings that are not as shipped: a thousand streams of one key are more than fit."""

BARE_EVENTS: Final = 100
BARE_PACE: Final = 10
"""Of the bare gRPC server's streams, and the gateway's beside it; milliseconds."""

_NGINX: Final = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000; client_body_buffer_size 64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 1024; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Target:
    """One thing that is measured, and where it listens.

    The provider itself, and nginx in front of it, are asked as the provider is: on its paths.
    """

    name: str
    server: Server
    port: int
    grpc_port: int = 0
    is_openai: bool = True

    def path(self, *, stream: bool) -> str:
        """Return the path of a chat request."""
        if self.is_openai:
            return "/v1/chat/completions"
        return "/api/chat-with-ai?isStreaming=true" if stream else "/api/chat-with-ai"


@dataclass(frozen=True)
class World:
    """What a benchmark runs in.

    Attributes:
        folder: Of temporary files.
        sent: How many of the fresh requests each target was sent, at most, by its name.
    """

    cores: Cores
    folder: Path
    requests: Requests
    provider: Target
    sent: Counter[str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def floor(self) -> Iterator[Target]:
        """Run the floor."""
        port = free_port()
        command = self._module("floor", "--port", str(port), "--provider", self._provider_url)
        with self._measured("floor", command) as pid:
            until_ok(f"http://127.0.0.1:{port}/health")
            yield Target("floor", Server((pid,)), port)

    @contextlib.contextmanager
    def nginx(self) -> Iterator[Target]:
        """Run nginx as a plain proxy in front of the provider."""
        port = free_port()
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            _NGINX.format(folder=self.folder, port=port, provider=self.provider.port)
        )
        command = ["nginx", "-p", str(self.folder), "-c", str(configuration)]
        with self._measured("nginx", command) as pid:
            until_listening(port)
            yield Target("nginx", Server((pid,)), port, is_openai=False)

    @contextlib.contextmanager
    def bare_grpc(self) -> Iterator[Target]:
        """Run the bare gRPC server."""
        port = free_port()
        pace = ("--events", str(BARE_EVENTS), "--pace", str(BARE_PACE))
        command = self._module("bare_grpc", "--port", str(port), *pace)
        with self._measured("bare_grpc", command) as pid:
            until_listening(port)
            yield Target("bare", Server((pid,)), 0, port)

    @contextlib.contextmanager
    def gateway(self, name: str = "gateway", root: Path = ROOT) -> Iterator[Target]:
        """Run the gateway of the tree at `root`, both doors in one process."""
        with self.process(name, root) as (pid, ports):
            until_ok(f"http://127.0.0.1:{ports.ops}/readyz")
            yield Target(name, Server((pid,)), ports.http, ports.grpc)

    @contextlib.contextmanager
    def split(self) -> Iterator[Target]:
        """Run the gateway as two processes, role `http` in front of role `grpc`."""
        with self.process("far", role="grpc") as (far, far_ports):
            until_ok(f"http://127.0.0.1:{far_ports.ops}/readyz")
            address = f"127.0.0.1:{far_ports.grpc}"
            with self.process("near", role="http", grpc_target=address) as (near, near_ports):
                until_ok(f"http://127.0.0.1:{near_ports.ops}/readyz")
                yield Target("split", Server((near, far)), near_ports.http, far_ports.grpc)

    @contextlib.contextmanager
    def process(
        self, name: str, root: Path = ROOT, module: str = "service", **settings: str
    ) -> Iterator[tuple[int, Ports]]:
        """Run one process of the gateway; yields its id and ports without waiting for it."""
        ports = Ports(*(free_port() for _ in Ports._fields))
        chosen = {f"ONE_MIN_{key.upper()}": value for key, value in settings.items()}
        environment = {
            "PYTHONPATH": os.pathsep.join((str(root), str(root / "gen"))),
            "ONE_MIN_API_URL": self._provider_url,
            "ONE_MIN_HTTP_PORT": str(ports.http),
            "ONE_MIN_GRPC_PORT": str(ports.grpc),
            "ONE_MIN_OPS_PORT": str(ports.ops),
            "ONE_MIN_DRAIN_DELAY": "0",
            "ONE_MIN_DRAIN_GRACE": "1",
            **LIMITS,
            **chosen,
            "BENCH_GAP_PORT": str(ports.gap),
        }
        command = [sys.executable, "-m", module]
        with self._measured(name, command, root, environment) as pid:
            yield pid, ports

    @property
    def _provider_url(self) -> str:
        return f"http://127.0.0.1:{self.provider.port}"

    def _module(self, name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"tests.bench.{name}", *arguments]

    @contextlib.contextmanager
    def _measured(
        self,
        name: str,
        command: list[str],
        root: Path = ROOT,
        environment: dict[str, str] | None = None,
    ) -> Iterator[int]:
        log = self.folder / f"{name}.log"
        core = self.cores.measured
        with started(command, core=core, log=log, cwd=root, environment=environment) as pid:
            yield pid


class Ports(NamedTuple):
    """Where one process of the gateway listens; `gap` only where its loop is watched."""

    http: int
    grpc: int
    ops: int
    gap: int


@contextlib.contextmanager
def world(cores: Cores, folder: Path) -> Iterator[World]:
    """Run the provider within the context."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.provider", "--port", str(port)]
    log = folder / "provider.log"
    with started(command, core=cores.loading, log=log, cwd=ROOT) as pid:
        until_listening(port)
        provider = Target("provider", Server((pid,)), port, is_openai=False)
        yield World(cores, folder, Requests.written_to(folder), provider)
