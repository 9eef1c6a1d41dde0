"""`Fleet`: the pods of a Deployment, and the two ways in which callers learn where they are.

A pod is a gateway process on an address of its own (127.0.77.N, all with the same ports), over a
simulator of its own, which knows what the pod was asked. Callers of the OpenAI door come through
nginx, which is told of every change, as ingress controllers are; callers of the gRPC door ask DNS.
As in a cluster, a pod that ends and the news of it set out at the same time, and the news takes
longer.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from service.simulator import Simulator
from tests.e2e import programs
from tests.e2e.nginx import Nginx, Server
from tests.e2e.rollouts.names import Names
from tests.lifecycle.process import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.programs import Gateway

CHAT = "/api/chat-with-ai"
WORD = re.compile(r"call-\d+")
"""Names a call within its prompt."""

CHUNK_DELAY = 0.4

NEWS_DELAY = 1.0
"""Seconds from a pod's signal until DNS and nginx know."""

CONNECTION_AGE = 4.0

SETTINGS = {
    "drain_delay": 3,
    "drain_grace": 60,
    "connection_age": CONNECTION_AGE,
    "connection_age_grace": 60,
}


@dataclass(frozen=True)
class Pod:
    """One gateway and the provider that it alone calls."""

    gateway: Gateway
    simulator: Simulator

    def words(self, *states):
        """Return the calls that reached the provider through this pod, by the state of them."""
        seen = [each for each in self.simulator.seen if each.path == CHAT]
        found = [WORD.search(str(each.body)) for each in seen if each.state in states]
        return {match[0] for match in found}

    async def until_called(self):
        """Wait for the first call and return how long that took, in seconds."""
        begun = time.monotonic()
        paths = self.simulator.counts
        await self.simulator.until(lambda: CHAT in paths()["paths"], timeout=programs.PATIENCE)
        return time.monotonic() - begun


class Fleet:
    """Pods that come and go."""

    def __init__(self, nginx: Path, folder: Path):
        self.pods: list[Pod] = []
        """Those that callers are told of."""
        self._all: list[Pod] = []
        self._nginx_program = nginx
        self._folder = folder
        self._names = Names()
        self._ports = {name: free_port() for name in ("http_port", "grpc_port", "ops_port")}
        self._front = Server("onemin-gateway", free_port(), ())
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def running(self, size):
        """Run so many pods, the name server and nginx within the context."""
        async with self._stack:
            await self._stack.enter_async_context(self._names.running())
            started = [await self._start() for _ in range(size)]
            self._nginx = Nginx(self._nginx_program, self._folder, self._servers(started))
            await self._stack.enter_async_context(self._nginx.running())
            self._publish(started)
            try:
                yield self
            finally:
                for pod in self._all:
                    pod.gateway.kill()

    @property
    def http_url(self):
        return f"http://127.0.0.1:{self._front.port}"

    @property
    def grpc_target(self):
        return f"dns://127.0.0.1:{self._names.port}/onemin-gateway-grpc:{self._ports['grpc_port']}"

    async def add(self):
        """Start a pod, tell of it once it is ready, and return it."""
        pod = await self._start()
        self._publish([*self.pods, pod])
        return pod

    async def remove(self, pod):
        """End a pod as Kubernetes does; return its exit code."""
        pod.gateway.terminate()
        await self._forget(pod)
        return await pod.gateway.exit_code()

    async def kill(self, pod):
        """End a pod as a lost node does."""
        pod.gateway.kill()
        await self._forget(pod)

    def cut_calls(self):
        """Return how many calls some pod has broken off, at its provider."""
        return sum(pod.simulator.counts()["aborted"] for pod in self._all)

    async def _start(self):
        host = f"127.0.77.{len(self._all) + 1}"
        simulator = Simulator(chunk_delay=CHUNK_DELAY)
        await self._stack.enter_async_context(simulator.running())
        context = programs.gateway(
            self._folder, host=host, ports=self._ports, api_url=simulator.url, **SETTINGS
        )
        pod = Pod(await self._stack.enter_async_context(context), simulator)
        self._all.append(pod)
        return pod

    async def _forget(self, pod):
        await asyncio.sleep(NEWS_DELAY)
        self._publish([each for each in self.pods if each is not pod])

    def _publish(self, pods):
        self.pods = pods
        self._names.addresses = [pod.gateway.host for pod in pods]
        self._nginx.change(self._servers(pods))

    def _servers(self, pods):
        backends = tuple(pod.gateway.http_address for pod in pods)
        return {"http": replace(self._front, backends=backends)}
