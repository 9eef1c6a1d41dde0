"""Three ports, each with its own few paths, and nothing else that listens or answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.wire import AUTH, ask, exchange, http
from tests.lifecycle.conftest import simulator_url, start

__all__ = ["simulator_url", "start"]

OPERATIONS = ("/livez", "/readyz", "/metrics")
TEMPTING = (
    "/",
    "/v1/models",
    "/v1/chat/completions",
    "/health",
    "/openapi.json",
    "/docs",
    "/redoc",
    "/admin",
    "/debug",
    "/debug/pprof/",
    "/config",
    "/env",
    "/.env",
    "/.git/config",
    "/metrics/",
    "/metrics/../livez",
    "//metrics",
    "/METRICS",
    "/livez/x",
    "/_simulator/state",
    "/server-status",
    "/actuator/env",
    "/keys",
    "/shutdown",
)


@pytest.mark.anyio
@pytest.mark.parametrize("path", OPERATIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_operations_are_read_and_nothing_else(gateway, path, method):
    answer = await ask(gateway.ops_url, http(method, path))
    assert answer.status == (200 if method in ("GET", "HEAD") else 405)


@pytest.mark.anyio
@pytest.mark.parametrize("path", TEMPTING)
async def test_the_operations_port_has_no_other_path(gateway, path):
    for method in ("GET", "POST"):
        answer = await ask(gateway.ops_url, http(method, path, AUTH))
        assert answer.status == 404
        assert b"onemin_" not in answer.body


@pytest.mark.anyio
@pytest.mark.parametrize("path", [*OPERATIONS, *TEMPTING[5:]])
async def test_the_door_of_callers_shows_nothing_of_the_operations(gateway, path):
    for lines in ((), (AUTH,)):
        answer = await ask(gateway.http_url, http("GET", path, *lines))
        assert answer.status == 404
        assert b"onemin_" not in answer.body


@pytest.mark.anyio
async def test_the_grpc_port_speaks_no_http_1(gateway):
    received = await exchange(gateway.grpc_target, http("GET", "/metrics"))
    assert b"200 OK" not in received
    assert b"onemin_" not in received


@pytest.mark.timeout(120)  # starting processes takes seconds
def test_a_process_listens_on_its_three_ports_and_on_no_other(start):  # the fixture
    with start() as gateway:
        assert listening(gateway._process.pid) == {
            ("127.0.0.1", port) for port in gateway.ports.values()
        }


def listening(pid):
    """Return the addresses that a process listens on, as the kernel tells."""
    held = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            is_open = fields[3] == "0A" or table.startswith("udp")
            if is_open and f"socket:[{fields[9]}]" in held:
                host, port = fields[1].split(":")
                found.add((address(host), int(port, 16)))
    return found


def address(text):
    """Return an address of the kernel's tables: hex, each group of four bytes reversed."""
    octets = bytes.fromhex(text)[-4:]  # of IPv6 too: here it is an IPv4 address in disguise
    is_mapped = text[:-8] in ("", "0000000000000000FFFF0000")
    return ".".join(str(octet) for octet in reversed(octets)) if is_mapped else text
