from __future__ import annotations

import json
import re

import pytest
import yaml

from service.settings import Settings, variable
from tests.unit.k8s.manifests import K8S, OVERLAYS, config, container, named, pods

TEXT = (K8S / "README.md").read_text()


def rows(heading):
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \| (.*?) \|", section, re.MULTILINE)
    return {name.strip("`"): value for name, value in cells}


NUMBERS = rows("The numbers")


def test_every_overlay_is_named():
    for name in OVERLAYS:
        assert f"| `{name}` |" in TEXT


def test_every_setting_is_a_setting():
    named_here = set(re.findall(r"\bONE_MIN_[A-Z_]+\b", TEXT))

    assert named_here <= {variable(name) for name in Settings.__struct_fields__}


@pytest.mark.parametrize("name", [name for name in NUMBERS if name.startswith("ONE_MIN_")])
def test_values_of_settings_are_those_of_the_base(name):
    assert config("base")["data"][name] == NUMBERS[name]


def test_other_values_are_those_of_the_base():
    pod = pods("base")["onemin-gateway"]
    resources = container(pod)["resources"]
    scaler = named("base", "HorizontalPodAutoscaler", "onemin-gateway")["spec"]
    probes = {
        kind: f"{container(pod)[kind]['failureThreshold']} x {container(pod)[kind]['periodSeconds']} s"
        for kind in ("startupProbe", "readinessProbe", "livenessProbe")
    }

    assert NUMBERS.items() >= probes.items()
    assert (
        NUMBERS.items()
        >= {
            "terminationGracePeriodSeconds": str(pod["spec"]["terminationGracePeriodSeconds"]),
            "requests.memory": resources["requests"]["memory"],
            "limits.memory": resources["limits"]["memory"],
            "requests.cpu": resources["requests"]["cpu"],
            "minReplicas": str(scaler["minReplicas"]),
            "/tmp": pod["spec"]["volumes"][0]["emptyDir"]["sizeLimit"],
        }.items()
    )


def test_examples_are_yaml_and_shell_of_this_folder():
    for example in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        assert yaml.safe_load(example)["kind"]
    for folder in re.findall(r"-k k8s/([\w/-]+)", TEXT):
        assert (K8S / folder / "kustomization.yaml").exists()


def test_files_that_it_names_exist():
    for name in ("grpc-service-config.json", "image.sh", "audit.sh", "checkov.yaml", "build.lock"):
        assert f"`{name}`" in TEXT
        assert (K8S / name).exists()
    json.loads((K8S / "grpc-service-config.json").read_text())


def test_the_plan_adds_up():
    aim = Settings().max_in_flight // 2
    pods_needed = -(-10_000 // aim)

    assert f"| pods | {pods_needed} | 10,000 / {aim} |" in TEXT
    assert f"| one key | {Settings().max_in_flight_per_key * pods_needed:,} streams |" in TEXT
