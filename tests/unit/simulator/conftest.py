from __future__ import annotations

import pytest

from service.simulator import Simulator


@pytest.fixture
async def simulator():
    async with Simulator().running() as running:
        yield running
