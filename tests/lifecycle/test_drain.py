"""A signal while streams are open, from outside."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx2
import pytest

pytestmark = pytest.mark.timeout(180)  # starting processes takes seconds each

SLOW = "[[fault:slow:0.05]] count to 40"
ENDLESS = "[[fault:endless]] [[fault:slow:0.05]] hello"


def _open(gateway, prompt):
    """Open a stream on each door and return both after their first events."""
    http, rpc = gateway.stream_http(prompt), gateway.stream_grpc(prompt)
    next(http), next(rpc)
    return http, rpc


def test_open_streams_on_both_doors_end_well_after_readiness_has_fallen(start):
    with start(drain_delay=1) as gateway, ThreadPoolExecutor() as threads:
        streams = [threads.submit(list, stream) for stream in _open(gateway, SLOW)]
        gateway.send(signal.SIGTERM)
        gateway.until_probe_says("draining")
        assert not any(stream.done() for stream in streams)
        assert gateway.http.get("/health").status_code == 200
        assert gateway.until_probe_says("stopping", "down") == "stopping"
        assert not any(stream.done() for stream in streams)
        lines, events = (stream.result() for stream in streams)
        assert lines[-1] == "data: [DONE]"
        assert events[-1].HasField("completed")
        assert gateway.exit_code() == 0
    assert [line["event"] for line in gateway.logs()][-1] == "stopped"
    assert not [line for line in gateway.logs() if line["level"] in ("warning", "error")]


def test_new_calls_are_served_while_draining_and_refused_while_stopping(start):
    with start(drain_delay=1) as gateway, ThreadPoolExecutor() as threads:
        streams = [threads.submit(list, stream) for stream in _open(gateway, SLOW)]
        gateway.send(signal.SIGTERM)
        gateway.until_probe_says("draining")
        assert list(gateway.stream_http("hello"))[-1] == "data: [DONE]"
        assert list(gateway.stream_grpc("hello"))[-1].HasField("completed")
        gateway.until_probe_says("stopping")
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(str(gateway.http.base_url) + "/health")
        with pytest.raises(grpc.RpcError) as caught:
            list(gateway.stream_grpc("hello"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        for stream in streams:
            stream.result()
        assert gateway.exit_code() == 0


def _fails(stream):
    try:
        return list(stream)[-1] == "data: [DONE]" and None
    except (httpx2.TransportError, grpc.RpcError) as error:
        return error


@pytest.mark.parametrize("door", ["http", "grpc"])
@pytest.mark.parametrize(
    ("settings", "insist"),
    [({"drain_grace": 0.3}, False), ({"drain_delay": 600, "drain_grace": 600}, True)],
    ids=["the grace is over", "a second signal"],
)
def test_what_does_not_end_is_cut_and_the_provider_learns_it(
    start, simulator_url, door, settings, insist
):
    before = httpx2.get(f"{simulator_url}/_simulator/state").json()
    with start(**settings) as gateway, ThreadPoolExecutor() as threads:
        stream = getattr(gateway, f"stream_{door}")(ENDLESS)
        next(stream)
        failure = threads.submit(_fails, stream)
        gateway.send(signal.SIGTERM)
        if insist:
            gateway.until_probe_says("draining")
            gateway.send(signal.SIGINT)
        assert failure.result() is not None
        assert gateway.exit_code() == 0
    after = httpx2.get(f"{simulator_url}/_simulator/state").json()
    assert after["aborted"] == before["aborted"] + 1
    assert [line for line in gateway.logs() if line.get("reason") == "CANCELLED"]
    assert not [line for line in gateway.logs() if line["level"] == "error"]


def test_an_idle_gateway_stops_at_once_even_with_probes_and_watchers_connected(start):
    with start(drain_grace=600) as gateway:
        assert list(gateway.stream_grpc("hello"))
        assert gateway.http.get("/health").status_code == 200
        gateway.send(signal.SIGINT)
        assert gateway.exit_code() == 0
