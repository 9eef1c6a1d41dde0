"""Processes under test: started on a core of their own, their CPU time and memory read."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 20.0
SAMPLE_INTERVAL: Final = 0.5

_IDLE_LOOP: Final = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while True:
    pass
"""

_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Cores:
    """Where things run: what is measured on the one core, all that loads it on the other.

    None where this machine has one core or no `taskset`; nothing is pinned then.
    """

    measured: int | None
    loading: int | None

    @classmethod
    def of_this_machine(cls) -> Self:
        """Take the first two that this process may use."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2 or shutil.which("taskset") is None:
            return cls(None, None)
        return cls(cores[0], cores[1])


def pinned(core: int | None, command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` on `core`."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def free_port() -> int:
    """Return a port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """What is measured together: one process, or two that make one product."""

    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Return the user and system time of all threads since the start, in seconds."""
        return sum(_cpu_seconds(pid) for pid in self.pids)

    def memory(self) -> float:
        """Return the proportional set size, in MiB."""
        return sum(_pss_mib(pid) for pid in self.pids)


@contextlib.contextmanager
def started(
    command: Sequence[str],
    *,
    core: int | None,
    log: Path,
    cwd: Path,
    environment: dict[str, str] | None = None,
) -> Iterator[int]:
    """Run a process within the context; yields its id. What it says goes to `log`."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("ONE_MIN_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(core, command),
            env=variables | (environment or {}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def awake(cores: Cores, folder: Path) -> Iterator[None]:
    """Keep the cores from sleeping within the context, by work that gives way to any other.

    A core that sleeps between two events is taken away from a virtual machine. It comes back late,
    so that nginx finds several events at once, and cold, which costs the larger program more.
    """
    with contextlib.ExitStack() as loops:
        for core in {cores.measured, cores.loading} - {None}:
            command = [sys.executable, "-c", _IDLE_LOOP]
            loops.enter_context(started(command, core=core, log=folder / "awake.log", cwd=folder))
        yield


def until_listening(port: int) -> None:
    """Return when somebody accepts connections on `port`."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise TimeoutError(f"nothing listens on port {port}")


def until_ok(url: str) -> None:
    """Return when `url` is answered with 200."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
            if answer.status == 200:
                return
        time.sleep(0.005)
    raise TimeoutError(f"no success from {url}")


@dataclass
class Samples:
    """CPU time and memory of a server while something runs."""

    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


@contextlib.contextmanager
def sampled(server: Server) -> Iterator[Samples]:
    """Sample a server within the context, from a thread of this process."""
    samples = Samples()
    ended = threading.Event()

    def run() -> None:
        while True:
            samples.cpu.append(server.cpu())
            samples.memory.append(server.memory())
            if ended.wait(SAMPLE_INTERVAL):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _cpu_seconds(pid: int) -> float:
    """Read the clock of a process, which counts nanoseconds and threads that have ended."""
    clock = ctypes.c_int()
    error = _libc.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise ProcessLookupError(error, os.strerror(error))
    return time.clock_gettime(clock.value)


def _pss_mib(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return int(next(line for line in rollup if line.startswith("Pss:")).split()[1]) / 1024
