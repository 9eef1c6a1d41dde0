"""The service over the simulator."""

from __future__ import annotations

import pytest

from service.inference.catalogue import Catalogue
from service.inference.service import InferenceService
from service.inference.tokens import TokenCounter
from service.observability.metrics import Metrics
from service.settings import load
from service.stages import Stages
from service.upstream.client import OneMinClient
from service.upstream.transport import Transport


@pytest.fixture(scope="module")
def tokens():
    tokens = TokenCounter()
    tokens.load()
    return tokens


@pytest.fixture
def metrics():
    return Metrics("test")


class WatchedStages(Stages):
    """Awaits what `at` says, where a call reaches a stage."""

    def __init__(self):
        super().__init__()
        self.at = {}

    async def reach(self, stage):
        if stage in self.at:
            await self.at[stage]()


@pytest.fixture
def stages():
    return WatchedStages()


@pytest.fixture
async def service(simulator, tokens, metrics, stages):
    transport = Transport.from_settings(load({"ONE_MIN_API_URL": simulator.url}))
    client = OneMinClient(transport, metrics, retries=False)
    catalogue = Catalogue.shipped(allowed=(), substitutes=True)
    yield InferenceService(client, catalogue, tokens, metrics, stages)
    await client.aclose()
