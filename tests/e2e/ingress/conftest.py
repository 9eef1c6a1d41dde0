from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import grpc.aio
import openai
import pytest
import trustme

from tests.conftest import KEY
from tests.e2e import programs
from tests.e2e.ingress.envoy import Envoy
from tests.e2e.nginx import Nginx, Server
from tests.lifecycle.process import free_port
from tests.unit.k8s.manifests import pods, settings

if TYPE_CHECKING:
    from pathlib import Path

    from service.simulator import Simulator

SCALE = 30
"""By which every time in this folder is shorter than in the field."""

IMPATIENCE = 60 / SCALE
"""What a proxy that nobody has configured allows for a silence."""


@dataclass(frozen=True)
class Ingress:
    """Both doors of a gateway, as clients outside of the cluster reach them."""

    ports: dict[str, int]
    authority: Path
    simulator: Simulator

    @asynccontextmanager
    async def openai(self, **options):
        """The official client, which does not retry."""
        trust = ssl.create_default_context(cafile=self.authority)
        http = openai.DefaultAsyncHttpxClient(verify=trust)
        url = f"https://localhost:{self.ports['http']}/v1"
        defaults = {"api_key": KEY, "max_retries": 0, "timeout": programs.PATIENCE}
        async with openai.AsyncOpenAI(
            base_url=url, http_client=http, **(defaults | options)
        ) as client:
            yield client

    @asynccontextmanager
    async def channel(self):
        credentials = grpc.ssl_channel_credentials(self.authority.read_bytes())
        target = f"localhost:{self.ports['grpc']}"
        async with grpc.aio.secure_channel(target, credentials) as channel:
            yield channel


@pytest.fixture(scope="session")
def scaled_gateway(simulator, tmp_path_factory):
    """Run a gateway whose times are those of the manifests, scaled."""
    shipped = settings("base", pods("base")["onemin-gateway"])
    names = ("keepalive_interval", "idle_timeout", "first_byte_timeout", "total_timeout")
    times = {name: getattr(shipped, name) / SCALE for name in names}

    def run(**others):
        folder = tmp_path_factory.mktemp("gateway")
        return programs.gateway(folder, api_url=simulator.url, drain_delay=0, **times, **others)

    return run


@pytest.fixture(scope="session")
async def gateway(scaled_gateway):
    async with scaled_gateway() as gateway:
        yield gateway


@pytest.fixture(scope="session")
async def early_gateway(scaled_gateway):
    """One for proxies that cannot be told to be patient: it begins streams before the provider."""
    async with scaled_gateway(early_head_after=10 / SCALE) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """The PEM files of an authority, and of a certificate with its key for this machine."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


@pytest.fixture(scope="session")
def run(certificate, nginx_program, envoy_program, simulator, tmp_path_factory):
    """Run a proxy in front of a gateway: `async with run("nginx", gateway) as ingress`."""
    makers = {"nginx": partial(_nginx, nginx_program), "envoy": partial(_envoy, envoy_program)}

    @asynccontextmanager
    async def run(name, gateway, **options):
        folder = tmp_path_factory.mktemp(name)
        ports = {door: free_port() for door in ("http", "grpc")}
        proxy = makers[name](folder, gateway, ports, certificate / "server.pem", **options)
        async with proxy.running():
            yield Ingress(ports, certificate / "ca.pem", simulator)

    return run


@pytest.fixture(scope="session", params=["nginx", "envoy"])
async def ingress(request, run, gateway):
    """A proxy as the shipped overlays configure it."""
    async with run(request.param, gateway) as ingress:
        yield ingress


@pytest.fixture(scope="session", params=["nginx", "envoy"])
async def impatient(request, run, early_gateway):
    """A proxy that ends what is silent for a scaled minute."""
    async with run(request.param, early_gateway, silence=IMPATIENCE) as ingress:
        yield ingress


def _nginx(program, folder, gateway, ports, certificate, silence=None):
    servers = {
        "http": Server("onemin-gateway", ports["http"], (gateway.http_address,), silence),
        "grpc": Server("onemin-gateway-grpc", ports["grpc"], (gateway.grpc_address,), silence),
    }
    return Nginx(program, folder, servers, certificate, SCALE)


def _envoy(program, folder, gateway, ports, certificate, silence=None):
    return Envoy(program, folder, gateway, ports, certificate, SCALE, silence)
