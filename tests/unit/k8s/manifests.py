"""What `kubectl kustomize` makes of k8s/, and the few questions that the rules ask of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml

from service.settings import load

ROOT = Path(__file__).parents[3]
K8S = ROOT / "k8s"
KUBECTL = Path(sys.executable).with_name("kubectl")
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
EVERYTHING = "everything"
VARIANTS = ["base", *OVERLAYS, EVERYTHING]
"""The base, each overlay, and one overlay of an operator's own that has all components."""


@cache
def render(variant):
    """Return the objects of a variant."""
    if variant == EVERYTHING:
        return _compose(sorted((K8S / "components").iterdir()))
    return _kustomize(K8S / "base" if variant == "base" else K8S / "overlays" / variant)


def of_kind(variant, *kinds):
    return [item for item in render(variant) if item["kind"] in kinds]


def named(variant, kind, name):
    (found,) = [item for item in of_kind(variant, kind) if item["metadata"]["name"] == name]
    return found


def pods(variant):
    """Return the pod templates by their Deployment."""
    return {
        deployment["metadata"]["name"]: deployment["spec"]["template"]
        for deployment in of_kind(variant, "Deployment")
    }


def gateways(variant):
    return {name: pod for name, pod in pods(variant).items() if name.startswith("onemin-gateway")}


def container(pod):
    (only,) = pod["spec"]["containers"]
    return only


def config(variant):
    (config_map,) = [
        item for item in of_kind(variant, "ConfigMap") if "ONE_MIN_ROLE" in item["data"]
    ]
    return config_map


def settings(variant, pod):
    """Return the settings that the gateway of a pod would read."""
    own = {entry["name"]: entry["value"] for entry in container(pod).get("env", [])}
    return load(config(variant)["data"] | own)


def matches(selector, labels):
    """Say whether a label selector of Kubernetes chooses these labels; an empty one chooses all."""
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return all(labels.get(key) == value for key, value in wanted) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def _compose(components):
    with tempfile.TemporaryDirectory() as folder:
        kustomization = {
            "resources": [os.path.relpath(K8S / "base", folder)],
            "components": [os.path.relpath(path, folder) for path in components],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return _kustomize(folder)


def _kustomize(folder):
    command = [KUBECTL, "kustomize", folder]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    assert output.stderr == ""
    return tuple(yaml.safe_load_all(output.stdout))
