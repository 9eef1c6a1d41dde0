from __future__ import annotations

import re
import tomllib

import kubernetes_validate
import pytest

from tests.unit.k8s.manifests import (
    K8S,
    OVERLAYS,
    ROOT,
    VARIANTS,
    container,
    named,
    of_kind,
    pods,
    render,
)

OLDEST = "1.30"
NEWEST = kubernetes_validate.latest_version()
FOREIGN = {"Gateway", "HTTPRoute", "GRPCRoute", "ServiceMonitor", "PrometheusRule"}
"""Kinds that are not Kubernetes' own: their fields have rules of their own here."""

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def identity(item):
    metadata = item["metadata"]
    return item["kind"], metadata.get("namespace"), metadata["name"]


def test_each_component_can_be_applied_by_itself():
    assert sorted(path.name for path in (K8S / "components").iterdir()) == OVERLAYS


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_valid(variant, version):
    for item in render(variant):
        if item["kind"] not in FOREIGN:
            kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_two_objects_are_the_same(variant):
    identities = [identity(item) for item in render(variant)]

    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_live_in_the_one_namespace_and_can_be_found_by_one_label(variant):
    for item in render(variant):
        expected = None if item["kind"] == "Namespace" else "onemin-gateway"
        assert item["metadata"].get("namespace") == expected, identity(item)
        assert item["metadata"]["labels"]["app.kubernetes.io/part-of"] == "onemin-gateway"


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_a_pod_refers_to_is_there(variant):
    names = {identity(item)[::2] for item in render(variant)}
    for pod in pods(variant).values():
        assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in names
        for source in container(pod).get("envFrom", []):
            assert ("ConfigMap", source["configMapRef"]["name"]) in names


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_deployment_of_the_gateway_has_its_autoscaler_and_its_budget(variant):
    deployments = {name for name in pods(variant) if name != "onemin-simulator"}
    scaled = {
        item["spec"]["scaleTargetRef"]["name"]
        for item in of_kind(variant, "HorizontalPodAutoscaler")
    }
    guarded = {item["metadata"]["name"] for item in of_kind(variant, "PodDisruptionBudget")}

    assert deployments == scaled == guarded
    for name in deployments:
        budget = named(variant, "PodDisruptionBudget", name)
        deployment = named(variant, "Deployment", name)
        assert budget["spec"]["selector"] == deployment["spec"]["selector"]
        assert "replicas" not in deployment["spec"], "the autoscaler owns the number"


@pytest.mark.parametrize("variant", VARIANTS)
def test_images_have_the_short_name_and_the_version_of_the_project(variant):
    assert {container(pod)["image"] for pod in pods(variant).values()} == {
        f"onemin-gateway:{VERSION}"
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_are_what_an_api_server_takes(variant):
    for item in render(variant):
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", item["metadata"]["name"])
    for pod in pods(variant).values():
        for port in container(pod)["ports"]:
            assert re.fullmatch(r"[a-z]([-a-z0-9]{0,13}[a-z0-9])", port["name"])


@pytest.mark.parametrize("later", VARIANTS)
@pytest.mark.parametrize("earlier", VARIANTS)
def test_one_applies_over_the_other(earlier, later):
    """What cannot be changed is the same in all variants: selectors and cluster addresses."""
    for item in of_kind(earlier, "Deployment", "Service"):
        (other,) = [twin for twin in render(later) if identity(twin) == identity(item)] or [item]
        field = "selector" if item["kind"] == "Deployment" else "clusterIP"
        assert item["spec"].get(field) == other["spec"].get(field)


@pytest.mark.parametrize("later", VARIANTS)
@pytest.mark.parametrize("earlier", VARIANTS)
def test_doors_stay_open_while_one_is_applied_over_the_other(earlier, later):
    """The Services choose the pods of both sides, as long as these open their door."""
    for name in ("onemin-gateway", "onemin-gateway-grpc"):
        assert (
            named(earlier, "Service", name)["spec"]["selector"]
            == named(later, "Service", name)["spec"]["selector"]
        )


def test_no_deployment_chooses_the_pods_of_another():
    for variant in VARIANTS:
        selectors = [
            tuple(sorted(item["spec"]["selector"]["matchLabels"].items()))
            for item in of_kind(variant, "Deployment")
        ]
        assert len(set(selectors)) == len(selectors)
