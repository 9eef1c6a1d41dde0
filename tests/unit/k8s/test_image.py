from __future__ import annotations

import re
import tomllib

import pytest

from service.settings import Settings, load, variable
from tests.unit.k8s.manifests import K8S, ROOT

LINES = (K8S / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
INSTRUCTIONS = [line.partition(" ")[::2] for line in LINES if line and not line.startswith("#")]
FINAL = INSTRUCTIONS[[name for name, _ in INSTRUCTIONS].index("FROM", 3) :]


def arguments(name, instructions=FINAL):
    return [text.strip() for found, text in instructions if found == name]


def test_both_stages_stand_on_the_base_image():
    assert arguments("ARG", INSTRUCTIONS)[0].startswith("BASE_IMAGE=python:3.")
    assert arguments("FROM", INSTRUCTIONS) == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]


def test_nothing_is_fetched_to_read_the_file():
    assert not re.search(r"^#\s*syntax", (K8S / "Dockerfile").read_text(), re.MULTILINE)


def test_the_result_takes_the_environment_and_runs_nothing():
    assert arguments("COPY") == ["--from=build /opt/gateway /opt/gateway"]
    assert arguments("RUN") == []
    assert arguments("HEALTHCHECK") == []


def test_wheels_alone_are_installed_each_with_its_hash():
    (install, build) = arguments("RUN", INSTRUCTIONS)[1:]

    assert "PIP_REQUIRE_HASHES=1" in install
    assert "PIP_ONLY_BINARY=:all:" in install
    assert "PIP_NO_INDEX=1" in build
    assert all("PIP_NO_CACHE_DIR=1" in run for run in (install, build))


def test_it_is_not_root_and_starts_the_gateway():
    assert arguments("USER") == ["10001:10001"]
    assert arguments("ENTRYPOINT") == ['["python", "-m", "service"]']


def test_ports_are_those_of_the_settings():
    ports = {getattr(Settings(), f"{door}_port") for door in ("http", "grpc", "ops")}

    assert {int(port) for text in arguments("EXPOSE") for port in text.split()} == ports


def test_variables_are_settings_and_bind_all_addresses():
    pairs = re.findall(r"(ONE_MIN_\w+)=(\S+)", " ".join(arguments("ENV")))

    assert load(dict(pairs)).host == "0.0.0.0"
    assert {name for name, _ in pairs} == {variable("host")}


def test_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert f"VERSION={project['version']}" in arguments("ARG")
    assert project["license"] in " ".join(arguments("LABEL"))


@pytest.mark.parametrize("lock", ["requirements.lock", "k8s/build.lock"])
def test_each_requirement_is_pinned_with_hashes(lock):
    requirements = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()

    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", requirement)


def test_only_what_is_copied_is_sent_to_the_builder():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        source
        for text in arguments("COPY", INSTRUCTIONS)
        if not text.startswith("--from")
        for source in text.split()[:-1]
    }

    assert lines[1] == "*"
    assert sent == copied
