from __future__ import annotations

from contextlib import contextmanager

import pytest

from tests.lifecycle import process


@pytest.fixture(scope="session")
def simulator_url():
    """A simulator in a process of its own."""
    with process.simulator() as url:
        yield url


@pytest.fixture
def start(simulator_url):
    """Run a gateway process over the simulator: `with start(drain_grace=1) as gateway`."""

    @contextmanager
    def start(**settings):
        gateway = process.GatewayProcess(**{"api_url": simulator_url, **settings})
        try:
            gateway.until_probe_says("ready")
            yield gateway
        finally:
            gateway.close()

    return start
