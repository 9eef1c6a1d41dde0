from __future__ import annotations

import pytest

from tests.unit.k8s.manifests import VARIANTS, container, gateways, matches, of_kind, pods
from tests.unit.k8s.network import Peer, enters, leaves, pod

HTTP, GRPC, OPS = 8080, 50051, 9090
GATEWAY, INFERENCE, SIMULATOR = "onemin-gateway", "onemin-gateway-grpc", "onemin-simulator"

STRANGER = Peer("default", {"app": "any"})
CALLER = Peer("default", {"onemin-gateway/caller": "true"})
NGINX = Peer("ingress-nginx", {})
ENVOY = Peer("envoy-gateway-system", {})
PROMETHEUS = Peer("monitoring", {"app.kubernetes.io/name": "prometheus"})
GRAFANA = Peer("monitoring", {"app.kubernetes.io/name": "grafana"})
DNS = Peer("kube-system", {"k8s-app": "kube-dns"})


@pytest.mark.parametrize("variant", VARIANTS)
def test_services_choose_pods_that_have_their_ports(variant):
    for service in of_kind(variant, "Service"):
        chosen = [
            template
            for template in pods(variant).values()
            if matches({"matchLabels": service["spec"]["selector"]}, template["metadata"]["labels"])
        ]
        assert chosen, service["metadata"]["name"]
        for template in chosen:
            names = {port["name"] for port in container(template)["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_service_of_a_door_leads_to_the_operations_port(variant):
    for service in of_kind(variant, "Service"):
        for port in service["spec"]["ports"]:
            assert (port["targetPort"] == "ops") == (
                service["metadata"]["name"] == "onemin-gateway-ops"
            )


@pytest.mark.parametrize("variant", VARIANTS)
def test_grpc_callers_see_each_pod(variant):
    (service,) = [
        item for item in of_kind(variant, "Service") if item["metadata"]["name"] == INFERENCE
    ]

    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"].get("publishNotReadyAddresses", False) is False, "drained pods leave"


@pytest.mark.parametrize(
    ("variant", "source", "target", "port", "passes"),
    [
        ("base", NGINX, GATEWAY, HTTP, True),
        ("base", ENVOY, GATEWAY, HTTP, True),
        ("base", CALLER, GATEWAY, HTTP, True),
        ("base", CALLER, GATEWAY, GRPC, True),
        ("base", PROMETHEUS, GATEWAY, OPS, True),
        ("base", STRANGER, GATEWAY, HTTP, False),
        ("base", STRANGER, GATEWAY, GRPC, False),
        ("base", STRANGER, GATEWAY, OPS, False),
        ("base", CALLER, GATEWAY, OPS, False),
        ("base", NGINX, GATEWAY, OPS, False),
        ("base", NGINX, GATEWAY, GRPC, False),
        ("base", PROMETHEUS, GATEWAY, HTTP, False),
        ("base", GRAFANA, GATEWAY, OPS, False),
        ("ingress-nginx", NGINX, GATEWAY, GRPC, True),
        ("ingress-nginx", ENVOY, GATEWAY, GRPC, False),
        ("gateway-api", ENVOY, GATEWAY, GRPC, True),
        ("gateway-api", STRANGER, GATEWAY, GRPC, False),
        ("split", NGINX, GATEWAY, HTTP, True),
        ("split", CALLER, INFERENCE, GRPC, True),
        ("split", NGINX, INFERENCE, GRPC, False),
        ("split", STRANGER, INFERENCE, GRPC, False),
        ("split", PROMETHEUS, GATEWAY, OPS, True),
        ("split", PROMETHEUS, INFERENCE, OPS, True),
        ("split", pod("split", GATEWAY), INFERENCE, GRPC, True),
        ("split", pod("split", GATEWAY), INFERENCE, OPS, False),
        ("everything", ENVOY, INFERENCE, GRPC, True),
        ("demo", pod("demo", GATEWAY), SIMULATOR, 8787, True),
        ("demo", STRANGER, SIMULATOR, 8787, False),
        ("demo", CALLER, SIMULATOR, 8787, False),
    ],
)
def test_who_may_come_in(variant, source, target, port, passes):
    assert enters(variant, source, target, port) is passes


@pytest.mark.parametrize(
    ("variant", "source", "destination", "port", "passes"),
    [
        ("base", GATEWAY, Peer(address="104.16.1.1"), 443, True),
        ("base", GATEWAY, Peer(address="2606:4700::1"), 443, True),
        ("base", GATEWAY, DNS, 53, True),
        ("base", GATEWAY, Peer(address="169.254.20.10"), 53, True),
        ("base", GATEWAY, Peer(address="104.16.1.1"), 80, False),
        ("base", GATEWAY, Peer(address="104.16.1.1"), 53, False),
        ("base", GATEWAY, Peer(address="169.254.169.254"), 443, False),
        ("base", GATEWAY, Peer(address="169.254.169.254"), 80, False),
        ("base", GATEWAY, Peer(address="10.0.0.1"), 443, False),
        ("base", GATEWAY, Peer(address="172.20.0.1"), 443, False),
        ("base", GATEWAY, Peer(address="192.168.1.1"), 443, False),
        ("base", GATEWAY, Peer(address="100.64.0.1"), 443, False),
        ("base", GATEWAY, Peer(address="fd00::1"), 443, False),
        ("base", GATEWAY, STRANGER, 443, False),
        ("split", INFERENCE, Peer(address="104.16.1.1"), 443, True),
        ("split", GATEWAY, Peer(address="104.16.1.1"), 443, False),
        ("split", GATEWAY, DNS, 53, True),
        ("demo", GATEWAY, pod("demo", SIMULATOR), 8787, True),
        ("demo", SIMULATOR, Peer(address="104.16.1.1"), 443, False),
        ("demo", SIMULATOR, DNS, 53, False),
    ],
)
def test_where_pods_may_go(variant, source, destination, port, passes):
    assert leaves(variant, source, destination, port) is passes


def test_the_hop_of_the_split_passes_on_both_sides():
    assert leaves("split", GATEWAY, pod("split", INFERENCE), GRPC, to=INFERENCE)
    assert not leaves("split", INFERENCE, pod("split", GATEWAY), HTTP, to=GATEWAY)


@pytest.mark.parametrize("variant", VARIANTS)
def test_ports_that_policies_name_are_ports_of_pods(variant):
    names = {
        port["name"]
        for template in gateways(variant).values()
        for port in container(template)["ports"]
    }
    for policy in of_kind(variant, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                assert port["port"] in names or isinstance(port["port"], int)
