"""The gateways that the matrix is run against, each started by the first test that asks for it."""

from __future__ import annotations

import socket
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import httpx2
import trustme
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client.parser import text_string_to_metric_families

from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from tests.conftest import serving
from tests.faults.raw import RawProvider

if TYPE_CHECKING:
    from service.lifecycle import Gateway
    from service.simulator import Simulator

SETTINGS = {
    "patient": {},
    "hasty": {"first_byte_timeout": 0.8, "idle_timeout": 1.5},
    "short": {"total_timeout": 1.0, "stream_timeout": 2.0},
    "refused": {},
    "unresolved": {"api_url": "http://no-such-provider.invalid"},
    "untrusted": {},
    "unconnectable": {"connect_timeout": 0.5},
    "raw": {},
    "full": {"max_in_flight": 1, "max_in_flight_per_key": 1},
    "narrow": {"max_in_flight": 3, "max_in_flight_per_key": 1},
    "draining": {},
    "stopping": {},
    "thinking": {"keepalive_interval": 0.05, "idle_timeout": 3.0},
    "early": {"keepalive_interval": 0.1, "early_head_after": 0.2, "first_byte_timeout": 3.0},
}


@dataclass(frozen=True)
class House:
    """A gateway that serves, with a client at each of its doors."""

    simulator: Simulator
    gateways: list[Gateway]
    """The one that the HTTP door belongs to comes first."""
    http_url: str
    grpc_target: str
    ops_urls: list[str]
    http: httpx2.AsyncClient
    channel: grpc.aio.Channel

    @property
    def stub(self):
        return InferenceServiceStub(self.channel)

    @property
    def health(self):
        return HealthStub(self.channel)

    def requests(self, key):
        """Return what the provider saw of a key."""
        seen = self.simulator.seen
        return [exchange for exchange in seen if exchange.headers.get("API-KEY") == key]

    async def metrics(self):
        """Return every sample, by name and labels, added up over the processes."""
        samples = {}
        for url in self.ops_urls:
            text = (await self.http.get(f"{url}/metrics")).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    key = (sample.name, tuple(sorted(sample.labels.items())))
                    samples[key] = samples.get(key, 0) + sample.value
        return samples


CHANNEL = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 1 << 30),
)
"""A client that shows each attempt as it is."""


@asynccontextmanager
async def open_house(simulator, *, split=False, channel=CHANNEL, **settings):
    """Run a gateway of one process, or of two, over a provider."""
    settings = {"api_url": simulator.url, **settings}
    async with AsyncExitStack() as stack:
        role = "grpc" if split else "all"
        far, ports = await stack.enter_async_context(serving(role=role, **settings))
        gateways, houses = [far], [ports]
        target = f"127.0.0.1:{ports['grpc_port']}"
        if split:
            front = serving(role="http", grpc_target=target, **settings)
            near, ports = await stack.enter_async_context(front)
            gateways, houses = [near, far], [ports, *houses]
        yield House(
            simulator=simulator,
            gateways=gateways,
            http_url=f"http://127.0.0.1:{ports['http_port']}",
            grpc_target=target,
            ops_urls=[f"http://127.0.0.1:{house['ops_port']}" for house in houses],
            http=await stack.enter_async_context(
                httpx2.AsyncClient(timeout=30, trust_env=False, limits=httpx2.Limits())
            ),
            channel=await stack.enter_async_context(grpc.aio.insecure_channel(target, channel)),
        )


class Street:
    """The houses of a test session."""

    def __init__(self, simulator, stack):
        self.simulator = simulator
        self._stack = stack
        self._houses = {}

    async def house(self, name, *, split=False):
        if (name, split) not in self._houses:
            settings = SETTINGS[name] | await self._provider(name)
            house = open_house(self.simulator, split=split, **settings)
            self._houses[name, split] = await self._stack.enter_async_context(house)
        return self._houses[name, split]

    async def _provider(self, name):
        """Start what stands in the simulator's place."""
        if name == "refused":
            # Held for the whole session: a port that is let go is soon another server's.
            mute = self._stack.enter_context(socket.socket())
            mute.bind(("127.0.0.1", 0))
            return {"api_url": f"http://127.0.0.1:{mute.getsockname()[1]}"}
        if name == "unconnectable":
            silent = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            return {"api_url": f"https://127.0.0.1:{silent.getsockname()[1]}"}
        if name in ("untrusted", "raw"):
            options = {"ssl": _untrusted()} if name == "untrusted" else {}
            provider = await self._stack.enter_async_context(RawProvider().running(**options))
            return {"api_url": provider.url}
        return {}


def _untrusted():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context
