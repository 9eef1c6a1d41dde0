from __future__ import annotations

import asyncio
import time

import pytest

from service.observability.loop_lag import sample_loop_lag
from service.observability.metrics import Metrics


async def _samples(metrics, count):
    async with asyncio.timeout(10):
        while (seen := metrics.registry.get_sample_value(NAME + "_count")) < count:  # noqa: ASYNC110  # a registry has no event
            await asyncio.sleep(0.001)
    return seen


NAME = "onemin_event_loop_lag_seconds"


@pytest.mark.anyio
async def test_work_that_blocks_the_loop_is_seen():
    metrics = Metrics("test")
    sampling = asyncio.create_task(sample_loop_lag(metrics, interval=0.01))
    await _samples(metrics, 3)
    before = metrics.registry.get_sample_value(NAME + "_sum")
    time.sleep(0.3)  # noqa: ASYNC251  # the very thing that is to be seen
    await _samples(metrics, 4)
    assert metrics.registry.get_sample_value(NAME + "_sum") - before > 0.2
    sampling.cancel()
