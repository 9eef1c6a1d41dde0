from __future__ import annotations

import httpx2
import pytest

from service.observability.metrics import Metrics
from service.operations import build_operations
from service.readiness import Readiness, State


@pytest.fixture
def readiness():
    return Readiness()


@pytest.fixture
async def client(readiness):
    app = build_operations(Metrics("1.2.3"), readiness)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://operations") as client:
        yield client


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("state", "status"),
    [(State.STARTING, 503), (State.READY, 200), (State.DRAINING, 503), (State.STOPPING, 503)],
)
async def test_readiness_is_told_with_the_state_and_liveness_is_apart(
    client, readiness, state, status
):
    readiness.move_to(state)
    ready, live = await client.get("/readyz"), await client.get("/livez")
    assert (ready.status_code, ready.text) == (status, f"{state.value}\n")
    assert (live.status_code, live.text) == (200, "ok\n")


@pytest.mark.anyio
async def test_the_metrics_are_prometheus_text(client):
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'onemin_build_info{version="1.2.3"} 1.0' in answer.text


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_only_get_and_head_are_answered(client, readiness, path):
    readiness.move_to(State.READY)
    head = await client.head(path)
    assert (head.status_code, head.text) == (200, "")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert (await client.request(method, path)).status_code == 405


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/", "/health", "/livez/", "/debug", "/v1/models", "/docs"])
async def test_there_is_nothing_else(client, path):
    assert (await client.get(path)).status_code == 404
