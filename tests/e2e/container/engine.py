"""A container engine of the test run's own: Debian's, started here and ended here.

It has a socket, a data folder and a pid file of its own, makes no bridge and touches no packet
filter, so that an engine that the machine has already is left alone. Containers are on the host's
network.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {"dockerd": "docker.io", "debootstrap": "debootstrap"}
CLIENT = "/usr/bin/docker"
"""Debian's: another one on the path may lack the plug-in that builds."""

READY_WITHIN = 60.0
STOP_WITHIN = 60.0


@dataclass(frozen=True)
class Engine:
    """A running engine."""

    socket: Path

    @property
    def environment(self):
        return os.environ | {"DOCKER_HOST": f"unix://{self.socket}"}

    def docker(self, *arguments, timeout=60.0, **options):
        """Run the client and return what it prints."""
        command = [CLIENT, *arguments]
        done = subprocess.run(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
            **options,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout.strip()

    def inspect(self, name):
        (found,) = json.loads(self.docker("inspect", name))
        return found


def install():
    """Install what is missing, with apt-get."""
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if missing:
        apt = ["apt-get", "--quiet", "--yes"]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in ([*apt, "update"], [*apt, "install", "--no-install-recommends", *missing]):
            subprocess.run(command, check=True, env=environment, timeout=600)


@contextlib.contextmanager
def running():
    """Start an engine; end it, and all it holds, at the exit."""
    # Not under /tmp, which may be in memory.
    folder = Path(tempfile.mkdtemp(prefix="onemin-engine-", dir="/var/tmp"))
    engine = Engine(folder / "docker.sock")
    command = [
        *("dockerd", "--host", f"unix://{engine.socket}", "--pidfile", str(folder / "pid")),
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
    ]
    log = folder / "log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_until_ready(engine, daemon, log)
        yield engine
        _remove_containers(engine)
    finally:
        _stop(daemon)
        _remove(folder)


def _wait_until_ready(engine, daemon, log):
    deadline = time.monotonic() + READY_WITHIN
    while True:
        with contextlib.suppress(AssertionError):
            engine.docker("version")
            return
        assert daemon.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.2)


def _remove_containers(engine):
    left = engine.docker("ps", "--all", "--quiet").split()
    if left:
        engine.docker("rm", "--force", *left)


def _stop(daemon):
    daemon.terminate()
    try:
        daemon.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _remove(folder):
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in mounts]
    for point in sorted((each for each in points if each.startswith(str(folder))), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=True, timeout=60)
    shutil.rmtree(folder)
