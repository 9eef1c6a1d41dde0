from __future__ import annotations

import pytest

from service.settings import Settings, load, variable
from tests.unit.k8s.manifests import K8S, VARIANTS, config, gateways, settings

DIFFERENT = {"host", "drain_delay", "drain_grace"}
"""Settings of the base that are not the defaults."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_keys_are_exactly_the_settings(variant):
    assert set(config(variant)["data"]) == {variable(name) for name in Settings.__struct_fields__}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_pods_are_given_is_legal(variant):
    for pod in gateways(variant).values():
        settings(variant, pod)


def test_the_base_changes_only_what_kubernetes_needs():
    chosen, default = load(config("base")["data"]), Settings()
    changed = {
        name
        for name in Settings.__struct_fields__
        if getattr(chosen, name) != getattr(default, name)
    }

    assert changed == DIFFERENT


def test_each_change_is_marked_with_its_reason():
    lines = (K8S / "base" / "settings.env").read_text().splitlines()
    marks = [index for index, line in enumerate(lines) if line.startswith("# [k8s]")]
    marked = {
        next(line for line in lines[index:] if not line.startswith("#")).partition("=")[0]
        for index in marks
    }

    assert marked == {variable(name) for name in DIFFERENT}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_name_tells_the_content(variant):
    """A changed setting makes another ConfigMap, and so a rollout."""
    names = {config(other)["metadata"]["name"] for other in ("base", "demo")}

    assert len(names) == 2
    assert config(variant)["metadata"]["name"] in names


def test_an_empty_setting_is_not_filled_from_the_machine_that_applies():
    """`NAME` without `=` would take the value of the operator's own shell."""
    assert all(
        "=" in line
        for line in (K8S / "base" / "settings.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
