from __future__ import annotations

import pytest
import structlog

from service.openai_http.exchange import Exchange
from service.openai_http.middleware import Observation
from service.readiness import Readiness, State
from service.stages import Stages
from tests.unit.openai_http.conftest import KEY

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-0123456789"


@pytest.fixture
def logged():
    with structlog.testing.capture_logs() as entries:
        yield entries


def exchange(logged):
    [entry] = [entry for entry in logged if entry["event"] == "request"]
    return entry


async def test_one_line_tells_an_exchange(door, logged):
    response = await door.chat(headers={"x-request-id": "mine"})
    entry = exchange(logged)
    assert entry.pop("duration_ms") >= 0
    assert entry == {
        "event": "request",
        "log_level": "info",
        "request_id": "mine",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "model": "gpt-4o",
        "reason": None,
        "bytes": len(response.content),
    }


async def test_routes_are_told_as_templates(door, logged):
    await door.get(f"/v1/models/{CANARY}?key={CANARY}")
    assert exchange(logged)["route"] == "/v1/models/{model_id:path}"


async def test_the_reason_of_a_failure_is_told(door, logged):
    await door.chat(n=2)
    assert (exchange(logged)["status"], exchange(logged)["reason"]) == (
        400,
        "UNSUPPORTED_PARAMETER",
    )


async def test_a_bug_is_logged_with_its_trace_and_told_to_nobody(door, port, logged):
    port.failure = RuntimeError("the cause")
    await door.chat(headers={"x-request-id": "mine"})
    [entry] = [entry for entry in logged if entry["log_level"] == "error"]
    assert (entry["request_id"], entry["exc_info"]) == ("mine", True)
    assert exchange(logged)["reason"] == "INTERNAL"
    assert door.refused() == {}


async def test_a_key_is_in_no_line_wherever_it_stood(door, logged):
    headers = {"authorization": f"Bearer {CANARY}", "x-api-key": CANARY, "user-agent": CANARY}
    await door.chat(headers=headers)
    await door.chat(headers=headers, model=CANARY, user=CANARY)
    await door.chat(headers=headers, messages=[{"role": CANARY, "content": CANARY}])
    await door.raw_chat(CANARY, headers)
    await door.client.get(f"/{CANARY}?key={CANARY}", headers=headers)
    await door.client.get("/v1/models", headers={"authorization": f"Basic {CANARY}"})
    assert logged
    assert CANARY not in repr(logged)
    assert KEY not in repr(logged)


@pytest.mark.parametrize(
    ("state", "connection"),
    [(State.READY, None), (State.DRAINING, "close"), (State.STOPPING, "close")],
)
async def test_a_process_that_ends_asks_its_clients_to_connect_elsewhere(door, state, connection):
    door.readiness.move_to(state)
    response = await door.client.get("/health")
    assert response.status_code == 200
    assert response.headers.get("connection") == connection


async def test_the_clock_of_an_exchange_stops_before_the_line_waits_for_its_turn():
    exchanges, ended = [], []

    async def app(scope, _receive, _send):
        exchanges.append(Exchange.of(scope))

    class Watched(Stages):
        def reach(self, stage):
            ended.append(exchanges[0].ended)
            return super().reach(stage)

    await Observation(app, Readiness(), Watched())({"method": "GET", "headers": []}, None, None)
    assert ended == [exchanges[0].ended] != [None]


def test_the_time_of_an_exchange_that_is_over_stands_still():
    over = Exchange("the-id", started=10.0, ended=10.25)
    assert (over.elapsed_ms(), over.elapsed_ms()) == (250, 250)
