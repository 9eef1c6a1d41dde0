"""Roles `grpc` and `http` as two processes: readiness follows the far side."""

from __future__ import annotations

import httpx2
import pytest

from tests.lifecycle.process import GatewayProcess

pytestmark = pytest.mark.timeout(180)  # starting processes takes seconds each


def test_each_role_opens_its_own_doors_and_http_is_ready_while_the_far_side_is(start):
    with start(role="grpc", drain_delay=1) as far:
        target = f"127.0.0.1:{far.ports['grpc_port']}"
        with start(role="http", grpc_target=target) as near:
            assert list(near.stream_http("hello"))[-1] == "data: [DONE]"
            far.send()
            near.until_probe_says("starting")
            assert far.exit_code() == 0
            answer = near.http.get("/v1/models", headers={"authorization": "Bearer key"})
            assert answer.status_code in (502, 503)
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
            near.send()
            assert near.exit_code() == 0
    assert set(far.ports) == {"grpc_port", "ops_port"}
    assert set(near.ports) == {"http_port", "ops_port"}


def test_the_http_role_waits_for_a_far_side_that_is_not_there_yet(simulator_url):
    near = GatewayProcess(role="http", grpc_target="127.0.0.1:1", api_url=simulator_url)
    try:
        near.until_probe_says("starting")
        live = httpx2.get(f"http://127.0.0.1:{near.ports['ops_port']}/livez")
        assert live.status_code == 200
        near.send()
        assert near.exit_code() == 0
    finally:
        near.close()
