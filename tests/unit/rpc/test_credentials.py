from __future__ import annotations

import os

import pytest
import trustme
from structlog.testing import capture_logs

from onemin.inference.v1 import inference_service_pb2 as pb
from service.call import Call, Protocol
from service.errors import Reason, ServiceError
from service.rpc.credentials import ServerFiles
from service.rpc.remote import RemoteInference, open_channel
from service.rpc.server import GrpcServer
from service.stages import Stages
from tests.contract.doors import chosen, serving

pytestmark = pytest.mark.anyio

CALL = Call("req-1", "the-key", Protocol.HTTP)


class Files:
    """A pair of PEM files that can be written anew."""

    def __init__(self, folder, name):
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self._turn = 0

    def write(self, issued):
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())
        # Two writes may fall into one tick of the file system's clock.
        self._turn += 1
        os.utime(self.cert, (self._turn, self._turn))

    def variables(self):
        return {"tls_cert": self.cert, "tls_key": self.key}


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def ours(authority, tmp_path):
    files = Files(tmp_path, "server")
    files.write(authority.issue_cert("127.0.0.1"))
    return files


@pytest.fixture
def theirs(authority, tmp_path):
    files = Files(tmp_path, "client")
    files.write(authority.issue_cert("facade.example"))
    return files


async def ask(target, **variables):
    """Make one call over a channel of its own, and so with a handshake of its own."""
    async with open_channel(chosen(grpc_target=target, **variables)) as channel:
        return await RemoteInference(channel).list_models(pb.ListModelsRequest(), CALL)


async def fails(target, **variables):
    with pytest.raises(ServiceError) as failure:
        await ask(target, **variables)
    return failure.value.reason is Reason.UPSTREAM_UNAVAILABLE


async def test_the_hop_runs_tls(port, metrics, readiness, ours, ca_file):
    async with serving(port, metrics, readiness, **ours.variables()) as (target, _):
        assert await ask(target, grpc_target_ca=ca_file)
        assert await fails(target)
    assert [call.credential for call in port.calls] == ["the-key"]


async def test_the_hop_trusts_only_its_authority(port, metrics, readiness, ours, tmp_path):
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    async with serving(port, metrics, readiness, **ours.variables()) as (target, _):
        assert await fails(target, grpc_target_ca=stranger)


async def test_the_hop_can_be_mutual(port, metrics, readiness, ours, theirs, ca_file):
    variables = ours.variables() | {"tls_client_ca": ca_file}
    async with serving(port, metrics, readiness, **variables) as (target, _):
        assert await ask(target, grpc_target_ca=ca_file, **theirs.variables())
        assert await fails(target, grpc_target_ca=ca_file)
        stranger = Files(ca_file.parent, "stranger")
        stranger.write(trustme.CA().issue_cert("facade.example"))
        assert await fails(target, grpc_target_ca=ca_file, **stranger.variables())


async def test_a_new_certificate_is_used_without_a_restart(
    port, metrics, readiness, ours, ca_file, tmp_path
):
    async with serving(port, metrics, readiness, **ours.variables()) as (target, _):
        assert await ask(target, grpc_target_ca=ca_file)
        successor = trustme.CA()
        successor_file = tmp_path / "successor.pem"
        successor.cert_pem.write_to_path(str(successor_file))
        ours.write(successor.issue_cert("127.0.0.1"))
        assert await ask(target, grpc_target_ca=successor_file)
        assert await fails(target, grpc_target_ca=ca_file)


async def test_a_certificate_that_cannot_be_read_changes_nothing(
    port, metrics, readiness, ours, ca_file
):
    async with serving(port, metrics, readiness, **ours.variables()) as (target, _):
        assert await ask(target, grpc_target_ca=ca_file)
        ours.key.unlink()
        with capture_logs() as logs:
            assert await ask(target, grpc_target_ca=ca_file)
    assert logs[0]["event"] == "certificate not reloaded"
    assert logs[0]["log_level"] == "warning"


async def test_a_half_written_pair_does_not_close_the_door(
    port, metrics, readiness, ours, authority, ca_file
):
    async with serving(port, metrics, readiness, **ours.variables()) as (target, _):
        issued = authority.issue_cert("127.0.0.1")
        key = ours.key.read_bytes()
        ours.write(issued)
        ours.key.write_bytes(key)
        assert await ask(target, grpc_target_ca=ca_file)
        ours.write(issued)
        assert await ask(target, grpc_target_ca=ca_file)


async def test_files_that_are_no_pair_stop_the_start(port, metrics, readiness, ours, theirs):
    variables = ours.variables() | {"tls_key": theirs.key, "grpc_port": 0}
    with pytest.raises(OSError, match="not a pair"):
        GrpcServer(port, chosen(**variables), metrics, readiness, Stages()).bind()


async def test_a_missing_file_stops_the_start(port, metrics, readiness, ours):
    variables = ours.variables() | {"tls_key": "/no/such.key", "grpc_port": 0}
    with pytest.raises(OSError, match=r"/no/such\.key"):
        GrpcServer(port, chosen(**variables), metrics, readiness, Stages()).bind()
    with pytest.raises(OSError, match=r"/no/such\.pem"):
        open_channel(chosen(grpc_target="127.0.0.1:1", grpc_target_ca="/no/such.pem"))


# The library asks on a thread of its own, where neither coverage nor a debugger sees it.


def test_files_are_read_again_only_when_they_changed(ours, authority):
    files = ServerFiles(chosen(**ours.variables()))
    assert files.changed() is None
    ours.write(authority.issue_cert("127.0.0.1"))
    assert files.changed() is not None
    assert files.changed() is None


def test_files_that_vanish_are_named_in_the_log_until_they_are_back(ours, authority):
    files = ServerFiles(chosen(**ours.variables()))
    ours.cert.unlink()
    with capture_logs() as logs:
        assert files.changed() is None
    assert str(ours.cert) in logs[0]["error"]
    ours.write(authority.issue_cert("127.0.0.1"))
    assert files.changed() is not None
