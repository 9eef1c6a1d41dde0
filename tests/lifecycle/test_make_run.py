"""`make run`: one command to a running gateway, one Ctrl-C to nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lifecycle.process import PATIENCE, clean_environment, free_port

pytestmark = pytest.mark.timeout(180)  # starting processes takes seconds each

ROOT = Path(__file__).parents[2]


class Terminal:
    """A terminal's foreground: `make` and all that it started."""

    def __init__(self, **settings):
        ports = {name: free_port() for name in ("HTTP_PORT", "GRPC_PORT", "OPS_PORT")}
        values = ports | settings
        self.make = subprocess.Popen(
            ["make", "run", *(f"ONE_MIN_{name}={value}" for name, value in values.items())],
            cwd=ROOT,
            env=clean_environment()
            | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.printed = ""
        self.up = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in iter(self.make.stdout.readline, ""):
            self.printed += line
            if "Ctrl-C" in line:
                self.up.set()

    def ctrl_c(self):
        os.killpg(self.make.pid, signal.SIGINT)
        code = self.make.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def close(self):
        if self.make.poll() is None:
            self.ctrl_c()
        self.make.stdout.close()


@contextmanager
def terminal(**settings):
    running = Terminal(**settings)
    try:
        yield running
    finally:
        running.close()


def _descendants(pid):
    """Return the processes below one, whatever session they are in."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found += [int(stat.parent.name), *_descendants(int(stat.parent.name))]
    return found


def _shell(command):
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_both_calls_of_the_banner_work_and_ctrl_c_leaves_nothing():
    with terminal() as running:
        assert running.up.wait(2 * PATIENCE), running.printed
        curl, python = re.findall(
            r"^  (curl .*?\}')$|^  (\S+/python -c '.*?^')$",
            running.printed,
            re.DOTALL | re.MULTILINE,
        )
        events = _shell(curl[0]).split("\n\n")
        assert events[-2] == "data: [DONE]"
        assert "Hello!" in _shell(python[1])
        processes = _descendants(running.make.pid)
        assert len(processes) == 3  # the demo, the simulator, the gateway
        assert running.ctrl_c() == -signal.SIGINT  # make's own end; it waited for the others
        assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert "Traceback" not in running.printed


def test_another_provider_takes_the_simulators_place(simulator_url):
    with terminal(API_URL=simulator_url) as running:
        assert running.up.wait(2 * PATIENCE), running.printed
        assert f"provider      {simulator_url}\n" in running.printed
        assert len(_descendants(running.make.pid)) == 2  # the demo and the gateway


@pytest.mark.parametrize("settings", [{"ROLE": "both"}, {"HTTP_PORT": 1, "HOST": "192.0.2.1"}])
def test_what_the_gateway_complains_of_is_seen_and_ends_the_run(settings):
    with terminal(**settings) as running:
        assert running.make.wait(PATIENCE) == 2
    assert "onemin-gateway: ONE_MIN_" in running.printed
    assert "Traceback" not in running.printed
    assert not running.up.is_set()
