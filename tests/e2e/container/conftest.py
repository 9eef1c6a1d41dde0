from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.e2e.container import engine as engines
from tests.unit.k8s import manifests

ROOT = Path(__file__).parents[3]
CACHE = Path("/var/tmp/onemin-gateway-e2e/base")
BASE = "localbase/debian-python"
READY_WITHIN = 30.0

CONFINED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--user", "10001", "--memory", "1g", "--pids-limit", "256"),
    *("--tmpfs", "/tmp:size=64m,mode=1777", "--network", "host"),
)
"""What the manifests ask of Kubernetes, in the words of the engine."""


@pytest.fixture(scope="session")
def engine():
    engines.install()
    with engines.running() as engine:
        yield engine


@pytest.fixture(scope="session")
def base(engine):
    script = Path(__file__).with_name("base_image.sh")
    made = subprocess.run([script, CACHE], check=True, stdout=subprocess.PIPE, timeout=1200)
    engine.docker("import", made.stdout.decode().strip(), BASE, timeout=300)
    return BASE


@pytest.fixture(scope="session")
def image(engine, base):
    """The image, built as `make image` builds it."""
    build = [ROOT / "k8s" / "image.sh", "--network=host", "--build-arg", f"BASE_IMAGE={base}"]
    # Where pip trusts another authority, the bundle that says so is the build's secret.
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE", "")
    environment = engine.environment | {"DOCKER": engines.CLIENT, "PIP_CERT": bundle}
    subprocess.run(build, check=True, env=environment, timeout=900)
    (name,) = {
        manifests.container(pod)["image"]
        for variant in manifests.VARIANTS
        for pod in manifests.pods(variant).values()
    }
    return name


@dataclass(frozen=True)
class Gateway:
    """A gateway in a container, over the simulator in another one."""

    name: str
    http_port: int
    grpc_port: int
    ops_port: int

    def operations(self, path):
        """Return the status of a path of the operations port, 0 if there is no answer."""
        url = f"http://127.0.0.1:{self.ops_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except (URLError, OSError):
            return 0


@pytest.fixture(scope="module")
def simulator(engine, image):
    """The provider's stand-in, from the same image as the demo overlay starts it."""
    (port,) = _free_ports(1)
    only = manifests.container(manifests.pods("demo")["onemin-simulator"])
    program, *rest = only["command"]
    arguments = [*rest, f"--port={port}", "--chunk-delay=0.2"]
    with _container(engine, "--entrypoint", program, image, *arguments):
        _wait_for(lambda: _listens(port))
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def start(engine, image, simulator):
    """Start a gateway with the settings of the base: `with start(drain_delay=1) as gateway`."""

    @contextlib.contextmanager
    def start(**settings):
        ports = dict(zip(("http_port", "grpc_port", "ops_port"), _free_ports(3), strict=True))
        chosen = {"api_url": simulator, **ports, **settings}
        variables = manifests.config("base")["data"] | {
            f"ONE_MIN_{name.upper()}": str(value) for name, value in chosen.items()
        }
        options = [part for pair in variables.items() for part in ("--env", "=".join(pair))]
        with _container(engine, *options, image) as name:
            gateway = Gateway(name, **ports)
            _wait_for(lambda: gateway.operations("/readyz") == 200)
            yield gateway

    return start


@contextlib.contextmanager
def _container(engine, *arguments):
    name = engine.docker("run", "--detach", *CONFINED, *arguments)
    try:
        yield name
    finally:
        print(engine.docker("logs", "--tail", "50", name))  # noqa: T201  # shown if the test fails
        engine.docker("rm", "--force", name)


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(condition):
    deadline = time.monotonic() + READY_WITHIN
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
