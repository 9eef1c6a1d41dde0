from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.faults.houses import Street, open_house

pytest.register_assert_rewrite("tests.faults.checks", "tests.faults.doors", "tests.faults.ledger")


@pytest.fixture(scope="package")  # some look for their list of models all the time, in the logs too
async def street(simulator):
    """Gateways with the settings that rows of the matrix ask for."""
    async with AsyncExitStack() as stack:
        yield Street(simulator, stack)


@pytest.fixture
def house(simulator):
    """Run a gateway with settings of the test's own: `async with house(max_in_flight=1) as it`."""

    @asynccontextmanager
    async def build(provider=simulator, **settings):
        async with open_house(provider, **settings) as opened:
            yield opened

    return build
