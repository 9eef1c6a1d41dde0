from __future__ import annotations

import asyncio

import pytest

from service.stages import next_stage

pytestmark = pytest.mark.anyio


async def test_calls_come_up_to_the_same_stage_before_one_goes_on():
    seen = []

    async def call(name):
        for stage in range(3):
            seen.append((stage, name))
            await next_stage()

    await asyncio.gather(*map(call, "abc"))
    assert seen == [(stage, name) for stage in range(3) for name in "abc"]
