from __future__ import annotations

import json

import grpc
import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from service.rpc.servicer import SERVICE
from service.settings import Settings
from tests.unit.k8s.manifests import K8S, named, of_kind

NGINX = "nginx.ingress.kubernetes.io/"
DEFAULTS = Settings()
READING = {"ListModels", "GetModel", "CountTokens"}
"""RPCs that nobody is billed for."""


def backends(item):
    for rule in item["spec"]["rules"]:
        for backend in rule.get("backendRefs", []):
            yield backend["name"], backend["port"]
        for path in rule.get("http", {}).get("paths", []):
            service = path["backend"]["service"]
            yield service["name"], service["port"]["name"]


@pytest.mark.parametrize("variant", ["gateway-api", "ingress-nginx"])
def test_routes_lead_to_ports_of_services(variant):
    for item in of_kind(variant, "HTTPRoute", "GRPCRoute", "Ingress"):
        for name, port in backends(item):
            ports = named(variant, "Service", name)["spec"]["ports"]
            assert port in {value for each in ports for value in (each["name"], each["port"])}


def test_routes_belong_to_listeners_of_their_host():
    (gateway,) = of_kind("gateway-api", "Gateway")
    hosts = {each["name"]: each["hostname"] for each in gateway["spec"]["listeners"]}
    for route in of_kind("gateway-api", "HTTPRoute", "GRPCRoute"):
        (parent,) = route["spec"]["parentRefs"]
        assert parent["name"] == gateway["metadata"]["name"]
        assert route["spec"]["hostnames"] == [hosts[parent["sectionName"]]]
    assert len(set(hosts.values())) == len(hosts)


def test_routes_let_streams_end_by_themselves():
    (route,) = of_kind("gateway-api", "HTTPRoute")
    for rule in route["spec"]["rules"]:
        seconds = {name: int(value.removesuffix("s")) for name, value in rule["timeouts"].items()}
        assert seconds["request"] == seconds["backendRequest"] > DEFAULTS.stream_timeout


def test_the_ingress_outwaits_the_silence_of_an_answer():
    for ingress in of_kind("ingress-nginx", "Ingress"):
        annotations = ingress["metadata"]["annotations"]
        for way in ("read", "send"):
            seconds = float(annotations[f"{NGINX}proxy-{way}-timeout"])
            assert seconds > max(DEFAULTS.total_timeout, DEFAULTS.idle_timeout)


def test_the_ingress_leaves_the_refusal_of_large_bodies_to_the_gateway():
    for ingress in of_kind("ingress-nginx", "Ingress"):
        limit = ingress["metadata"]["annotations"][f"{NGINX}proxy-body-size"]
        assert int(limit.removesuffix("m")) << 20 > DEFAULTS.max_body_bytes


def test_the_ingress_holds_nothing_back():
    annotations = named("ingress-nginx", "Ingress", "onemin-gateway")["metadata"]["annotations"]

    assert annotations[f"{NGINX}proxy-buffering"] == "off"
    assert annotations[f"{NGINX}proxy-request-buffering"] == "off"


def test_grpc_is_spoken_to_the_grpc_door():
    ingress = named("ingress-nginx", "Ingress", "onemin-gateway-grpc")
    (route,) = of_kind("gateway-api", "GRPCRoute")
    paths = {
        path["path"].strip("/")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }
    services = {
        match["method"]["service"] for rule in route["spec"]["rules"] for match in rule["matches"]
    }

    assert ingress["metadata"]["annotations"][f"{NGINX}backend-protocol"] == "GRPC"
    assert paths == services == {SERVICE, "grpc.health.v1.Health"}


@pytest.fixture
def service_config():
    return json.loads((K8S / "grpc-service-config.json").read_text())


def test_clients_balance_over_pods_that_are_ready(service_config):
    assert service_config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert service_config["healthCheckConfig"] == {"serviceName": SERVICE}


def test_clients_repeat_only_what_nobody_is_billed_for(service_config):
    methods = {method.name for method in pb.DESCRIPTOR.services_by_name["InferenceService"].methods}
    (entry,) = service_config["methodConfig"]
    named_methods = {(name["service"], name["method"]) for name in entry["name"]}

    assert named_methods == {(SERVICE, method) for method in READING}
    assert methods >= READING
    assert entry["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


@pytest.mark.anyio
async def test_the_library_takes_the_service_config(service_config):
    """A config that it cannot read makes every call fail with the reason."""
    options = [("grpc.service_config", json.dumps(service_config))]
    async with grpc.aio.insecure_channel("ipv4:127.0.0.1:1", options=options) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ListModels")
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call(b"", timeout=5)

    assert "service config" not in failure.value.details().lower()
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
