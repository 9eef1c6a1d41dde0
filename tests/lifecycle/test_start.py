"""How the process starts, or says in one line why not."""

from __future__ import annotations

import socket
from importlib.metadata import version

import pytest
import trustme

from tests.lifecycle.process import run_gateway

pytestmark = pytest.mark.timeout(180)  # starting processes takes seconds each

VARIABLES = {"http_port": "HTTP", "grpc_port": "GRPC", "ops_port": "OPS"}


@pytest.mark.parametrize("taken", VARIABLES)
def test_a_taken_port_is_one_line_that_names_variable_and_port(taken):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run_gateway(**{**dict.fromkeys(VARIABLES, 0), taken: port})
    assert ended.returncode == 1
    assert ended.stderr == (
        f"onemin-gateway: ONE_MIN_{VARIABLES[taken]}_PORT={port} cannot be bound on "
        "127.0.0.1: the port is taken\n"
    )


def test_a_second_gateway_does_not_share_the_ports(start):
    with start() as gateway:
        ended = run_gateway(**gateway.ports)
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1


def test_an_address_that_is_not_of_this_machine_is_one_line():
    ended = run_gateway(host="192.0.2.1")
    assert ended.returncode == 1
    assert ended.stderr.startswith("onemin-gateway: ONE_MIN_HTTP_PORT=8080 cannot be bound on 192.")
    assert ended.stderr.count("\n") == 1


WRONG = {
    "a value": {"role": "both"},
    "a pair": {"tls_cert": "/nowhere/cert.pem"},
    "a file": {"upstream_ca": "/nowhere/ca.pem"},
    "files": {"tls_cert": "/nowhere/cert.pem", "tls_key": "/nowhere/key.pem"},
}


@pytest.mark.parametrize("settings", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--check-config"], 1)])
def test_a_wrong_setting_is_one_line_that_names_it(settings, arguments, code):
    ended = run_gateway(*arguments, **settings)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith("onemin-gateway: ONE_MIN_")
    assert ended.stderr.count("\n") == 1


def test_legal_settings_are_only_checked(tmp_path):
    cert = trustme.CA().issue_cert("localhost")
    files = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    files["tls_cert"].write_bytes(cert.cert_chain_pems[0].bytes())
    files["tls_key"].write_bytes(cert.private_key_pem.bytes())
    ended = run_gateway("--check-config", **files)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "onemin-gateway: the settings are legal\n"


def test_the_version_is_told():
    assert run_gateway("--version").stdout == f"{version('onemin-gateway')}\n"


def test_an_unknown_option_is_refused():
    ended = run_gateway("--workers=4")
    assert ended.returncode == 2
    assert "unrecognized arguments: --workers=4" in ended.stderr


def test_the_log_begins_with_the_settings_and_names_misspelt_ones(start):
    with start(http_prot=1, upstream_proxy="http://user:s3cret@127.0.0.1:9") as gateway:
        gateway.send()
        assert gateway.exit_code() == 0
    first, second, *_ = gateway.logs()
    assert first["event"] == "starting"
    assert first["settings"]["ONE_MIN_HTTP_PORT"] == 0
    assert (second["level"], second["names"]) == ("warning", ["ONE_MIN_HTTP_PROT"])
    assert "s3cret" not in "".join(gateway.printed)
