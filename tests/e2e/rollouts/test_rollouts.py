"""What callers see of a rolling update, of a scale-up and of a lost pod: nothing, or the truth."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.rollouts.fleet import CONNECTION_AGE, Fleet
from tests.e2e.rollouts.load import GrpcDoor, HttpDoor, Load, NotWhole

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

PODS = 3
DOORS = pytest.mark.parametrize("door", [GrpcDoor, HttpDoor], ids=["grpc", "http"])

JITTER = 1.1
"""The gRPC library varies the age of connections by a tenth."""

SLACK = 3.0
"""Seconds for a busy machine to resolve, connect and call."""


@pytest.fixture
async def fleet(tmp_path, nginx_program):
    async with Fleet(nginx_program, tmp_path).running(PODS) as fleet:
        yield fleet


@DOORS
async def test_a_rolling_update_fails_no_answer(fleet, door):
    """As the Deployment does it: a new pod first, then an old one goes, while it drains the next."""
    removals, waits = [], []
    async with door(fleet) as calls, Load().running(calls) as load:
        await load.until_all_streams_are_open()
        for old in list(fleet.pods):
            new = await fleet.add()
            waits.append(await new.until_called())
            removals.append(asyncio.create_task(fleet.remove(old)))
        exit_codes = await asyncio.gather(*removals)
    assert load.failures == {}
    assert exit_codes == [0] * PODS
    assert fleet.cut_calls() == 0
    assert max(waits) < CONNECTION_AGE * JITTER + SLACK
    assert len(load.outcomes) > 500, "there was load all the time"


@DOORS
async def test_a_lost_pod_fails_its_own_calls_visibly_and_no_others(fleet, door):
    async with door(fleet) as calls, Load().running(calls) as load:
        await load.until_all_streams_are_open()
        lost = fleet.pods[0]
        open_there = lost.words("open")
        await fleet.kill(lost)
        await asyncio.sleep(2)
    failed = load.failures
    assert len(open_there) > 10
    assert failed.keys() >= open_there
    answered_elsewhere = set().union(*(pod.words("open", "finished") for pod in fleet.pods))
    assert not failed.keys() & answered_elsewhere
    assert all(isinstance(failure, door.failures) for failure in failed.values())
    assert not any(isinstance(failure, NotWhole) for failure in failed.values())
