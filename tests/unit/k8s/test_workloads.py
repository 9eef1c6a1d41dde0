from __future__ import annotations

import copy

import pytest

from service import app
from service.observability.metrics import Metrics
from service.operations import build_operations
from service.readiness import Readiness
from service.rpc.servicer import SERVICE
from tests.unit.k8s.manifests import (
    VARIANTS,
    container,
    gateways,
    named,
    of_kind,
    pods,
    settings,
)

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
MINUTE = 60
DOORS = ("http", "grpc")


def cases(choose):
    return [
        pytest.param(variant, name, id=f"{variant}-{name}")
        for variant in VARIANTS
        for name in choose(variant)
    ]


every_gateway = pytest.mark.parametrize(("variant", "name"), cases(gateways))
every_pod = pytest.mark.parametrize(("variant", "name"), cases(pods))


@every_gateway
@pytest.mark.anyio
async def test_ports_are_those_that_the_service_listens_on(variant, name):
    pod = gateways(variant)[name]
    chosen = settings(variant, pod)
    gateway = app.build(chosen)
    await gateway.close()
    listens = {setting: getattr(chosen, setting) for setting in gateway.doors | gateway.operations}
    said = {f"{port['name']}_port": port["containerPort"] for port in container(pod)["ports"]}

    assert said == listens
    assert chosen.host == "0.0.0.0"


@every_gateway
def test_labels_tell_which_doors_are_open(variant, name):
    pod = gateways(variant)[name]
    labels = pod["metadata"]["labels"]
    for door in DOORS:
        is_open = any(port["name"] == door for port in container(pod)["ports"])
        assert labels.get(f"onemin-gateway/{door}-door") == ("true" if is_open else None)


@every_gateway
def test_probes_ask_what_the_service_answers(variant, name):
    pod = gateways(variant)[name]
    chosen = settings(variant, pod)
    paths = {route.path for route in build_operations(Metrics("0"), Readiness()).routes}
    for probe in (container(pod)[kind] for kind in PROBES):
        if chosen.role == "grpc":
            assert probe["grpc"]["port"] == chosen.grpc_port
            assert probe["grpc"].get("service", "") in {"", SERVICE}
        else:
            assert probe["httpGet"]["port"] == "ops"
            assert probe["httpGet"]["path"] in paths


@every_gateway
def test_liveness_is_neither_readiness_nor_hasty(variant, name):
    probe = container(gateways(variant)[name])["livenessProbe"]

    assert probe.get("httpGet", {}).get("path", "/livez") == "/livez"
    assert "service" not in probe.get("grpc", {})
    assert probe["periodSeconds"] * probe["failureThreshold"] >= MINUTE


@every_gateway
def test_a_start_is_not_held_up_by_another_pod(variant, name):
    """Role `http` is ready when its far side is: a restart would not help."""
    pod = gateways(variant)[name]
    if settings(variant, pod).role == "http":
        assert container(pod)["startupProbe"]["httpGet"]["path"] == "/livez"


@every_pod
def test_time_outs_of_probes_are_explicit(variant, name):
    for kind in PROBES:
        assert container(pods(variant)[name])[kind]["timeoutSeconds"] >= 3


@every_gateway
def test_the_kubelet_waits_longer_than_the_drain(variant, name):
    pod = gateways(variant)[name]
    chosen = settings(variant, pod)
    longest = max(chosen.stream_timeout, chosen.total_timeout)

    assert chosen.drain_grace >= longest
    assert chosen.connection_age_grace > longest
    assert pod["spec"]["terminationGracePeriodSeconds"] >= (
        chosen.drain_delay + chosen.drain_grace + 10
    )
    assert "lifecycle" not in container(pod), "a hook's time would count, too"


@every_gateway
def test_pods_leave_one_by_one_when_the_longest_stream_is_over(variant, name):
    scaler = named(variant, "HorizontalPodAutoscaler", name)
    down = scaler["spec"]["behavior"]["scaleDown"]

    assert (
        down["stabilizationWindowSeconds"]
        >= settings(variant, gateways(variant)[name]).stream_timeout
    )
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


@every_gateway
def test_a_rollout_never_has_fewer_pods(variant, name):
    strategy = named(variant, "Deployment", name)["spec"]["strategy"]

    assert strategy == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
    }


@every_gateway
def test_pods_spread_by_their_own_labels(variant, name):
    pod = gateways(variant)[name]
    selector = named(variant, "Deployment", name)["spec"]["selector"]
    constraints = pod["spec"]["topologySpreadConstraints"]

    assert [constraint["labelSelector"] for constraint in constraints] == [selector, selector]
    assert {constraint["whenUnsatisfiable"] for constraint in constraints} == {"ScheduleAnyway"}


@every_pod
def test_pods_pass_pod_security_restricted_and_more(variant, name):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    spec = pods(variant)[name]["spec"]
    only = container(pods(variant)[name])
    profile = {"type": "RuntimeDefault"}

    assert {"hostNetwork", "hostPID", "hostIPC", "initContainers"}.isdisjoint(spec)
    assert spec["securityContext"] | {"fsGroupChangePolicy": None} == {
        "fsGroup": 10001,
        "fsGroupChangePolicy": None,
        "runAsGroup": 10001,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": profile,
    }
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": profile,
    }
    assert all("hostPort" not in port for port in only["ports"])
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


@every_pod
def test_pods_write_to_a_bounded_tmp_alone(variant, name):
    spec = pods(variant)[name]["spec"]

    assert [mount["mountPath"] for mount in container(pods(variant)[name])["volumeMounts"]] == [
        "/tmp"
    ]
    for volume in spec["volumes"]:
        assert set(volume) == {"name", "emptyDir"}
        assert volume["emptyDir"]["sizeLimit"]


@every_pod
def test_memory_is_bounded_and_cpu_is_not_throttled(variant, name):
    resources = container(pods(variant)[name])["resources"]

    assert set(resources["requests"]) == {"cpu", "memory", "ephemeral-storage"}
    assert set(resources["limits"]) == {"memory", "ephemeral-storage"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_namespace_enforces_pod_security_and_accounts_have_no_token(variant):
    (namespace,) = of_kind(variant, "Namespace")
    for mode in ("enforce", "audit", "warn"):
        assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"
    for account in of_kind(variant, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def without_what_differs(deployment):
    spec = copy.deepcopy(deployment["spec"])
    only = container(spec["template"])
    for name in (*PROBES, "env", "ports"):
        only.pop(name, None)
    for labels in (spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]):
        for name in ("app.kubernetes.io/component", *(f"onemin-gateway/{d}-door" for d in DOORS)):
            labels.pop(name, None)
    for constraint in spec["template"]["spec"]["topologySpreadConstraints"]:
        del constraint["labelSelector"]
    return spec


def test_the_two_roles_differ_in_their_doors_alone():
    http = named("split", "Deployment", "onemin-gateway")
    grpc = named("split", "Deployment", "onemin-gateway-grpc")

    assert without_what_differs(http) == without_what_differs(grpc)


def test_the_two_roles_are_scaled_alike():
    http, grpc = (
        named("split", "HorizontalPodAutoscaler", name)["spec"]
        for name in ("onemin-gateway", "onemin-gateway-grpc")
    )

    assert http | {"scaleTargetRef": None} == grpc | {"scaleTargetRef": None}


def test_the_roles_of_the_split():
    roles = {name: settings("split", pod).role for name, pod in gateways("split").items()}

    assert roles == {"onemin-gateway": "http", "onemin-gateway-grpc": "grpc"}


def test_the_http_pods_dial_the_headless_service():
    service = named("split", "Service", "onemin-gateway-grpc")
    target = settings("split", gateways("split")["onemin-gateway"]).grpc_target

    assert target == f"dns:///{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert service["spec"]["clusterIP"] == "None"


def test_the_demo_talks_to_the_simulator():
    service = named("demo", "Service", "onemin-simulator")
    (pod,) = gateways("demo").values()

    assert settings("demo", pod).api_url == (
        f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    )
