from __future__ import annotations

import pytest
import trustme

from service.app import build
from service.settings import load

pytestmark = pytest.mark.anyio

CORE = {"loop lag", "warm-up", "catalogue refresh"}

ROLES = {
    "all": ({"http_port", "grpc_port"}, CORE),
    "grpc": ({"grpc_port"}, CORE),
    "http": ({"http_port"}, {"loop lag", "health of the far side"}),
}


@pytest.fixture
def tls(tmp_path):
    cert = trustme.CA().issue_cert("localhost")
    (tmp_path / "cert.pem").write_bytes(cert.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(cert.private_key_pem.bytes())
    return {
        "ONE_MIN_TLS_CERT": str(tmp_path / "cert.pem"),
        "ONE_MIN_TLS_KEY": str(tmp_path / "key.pem"),
    }


def _build(role, **more):
    return build(load({"ONE_MIN_ROLE": role, "ONE_MIN_GRPC_TARGET": "127.0.0.1:1", **more}))


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_has_its_doors_and_its_work(role):
    gateway = _build(role)
    doors, work = ROLES[role]
    assert set(gateway.doors) == doors
    assert set(gateway.work) == work
    assert set(gateway.operations) == {"ops_port"}
    await gateway.close()


@pytest.mark.parametrize(("role", "follows"), [("all", True), ("grpc", False), ("http", True)])
async def test_the_files_of_the_http_door_are_followed(role, follows, tls):
    gateway = _build(role, **tls)
    assert ("certificate files" in gateway.work) is follows
    await gateway.close()
