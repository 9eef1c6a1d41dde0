from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme
from structlog.testing import capture_logs

from service.http_server import HttpServer
from service.settings import Settings, SettingsError
from service.tls import check_files, follow_files, server_context

AUTHORITY = trustme.CA()


async def hello(scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


@pytest.fixture
def issue(tmp_path):
    """Write a new certificate and key in place of the old ones."""

    def issue(cert=None):
        cert = cert or AUTHORITY.issue_cert("localhost")
        (tmp_path / "key.pem").write_bytes(cert.private_key_pem.bytes())
        (tmp_path / "cert.pem").write_bytes(cert.cert_chain_pems[0].bytes())
        return cert

    return issue


@pytest.fixture
def settings(tmp_path, issue):
    issue()
    return Settings(tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"))


@pytest.fixture
def trusting():
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def _served(port, trusting):
    """Return the certificate that the door shows, and what it answers."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting, server_hostname="localhost"
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown, answer


def _der(cert):
    return ssl.PEM_cert_to_DER_cert(cert.cert_chain_pems[0].bytes().decode())


@pytest.fixture
async def door(settings):
    context = server_context(settings)
    server = HttpServer(hello, "127.0.0.1", 0, context)
    port = server.bind()
    await server.start()
    following = asyncio.create_task(follow_files(context, settings, interval=0.01))
    yield port
    following.cancel()
    await server.stop(0)


@pytest.mark.anyio
async def test_the_door_speaks_tls(door, trusting):
    _, answer = await _served(door, trusting)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"https" in answer


@pytest.mark.anyio
async def test_plain_text_gets_no_answer(door):
    reader, writer = await asyncio.open_connection("127.0.0.1", door)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert not await reader.read()
    writer.close()


@pytest.mark.anyio
async def test_new_files_are_shown_to_new_connections(door, trusting, issue):
    before, _ = await _served(door, trusting)
    with capture_logs() as logs:
        new = issue()
        await _until(logs, "new certificate in use")
    after, answer = await _served(door, trusting)
    assert before != after == _der(new)
    assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.anyio
async def test_files_that_cannot_be_used_leave_the_old_ones_in_use(door, trusting, issue, settings):
    before, _ = await _served(door, trusting)
    with capture_logs() as logs:
        other = AUTHORITY.issue_cert("localhost")
        with open(settings.tls_cert, "wb") as half:  # noqa: ASYNC230, PTH123  # a test's own small file
            half.write(other.cert_chain_pems[0].bytes())
        await _until(logs, "new certificate not usable yet")
        assert (await _served(door, trusting))[0] == before
        issue(other)
        await _until(logs, "new certificate in use")
    assert (await _served(door, trusting))[0] == _der(other)


@pytest.mark.anyio
async def test_missing_files_leave_the_old_ones_in_use(door, trusting, tmp_path):
    before, _ = await _served(door, trusting)
    with capture_logs() as logs:
        (tmp_path / "key.pem").unlink()
        await _until(logs, "new certificate not usable yet")
    assert (await _served(door, trusting))[0] == before


async def _until(logs, event):
    async with asyncio.timeout(10):
        while not any(line["event"] == event for line in logs):  # noqa: ASYNC110  # a list has no event
            await asyncio.sleep(0.005)


def test_without_files_there_is_no_tls():
    assert server_context(Settings()) is None
    check_files(Settings())


@pytest.mark.parametrize(
    "field", ["tls_cert", "tls_key", "tls_client_ca", "grpc_target_ca", "upstream_ca"]
)
@pytest.mark.parametrize("content", [None, b"", b"no PEM"], ids=["missing", "empty", "garbage"])
def test_a_file_that_cannot_be_used_is_one_line_that_names_it(settings, tmp_path, field, content):
    path = tmp_path / "other.pem"
    if content is not None:
        path.write_bytes(content)
    files = {"tls_cert": settings.tls_cert, "tls_key": settings.tls_key, field: str(path)}
    with pytest.raises(SettingsError) as caught:
        check_files(Settings(**files))
    line = str(caught.value)
    assert f"ONE_MIN_{field.upper()}={str(path)!r}" in line
    assert "cannot be used: " in line
    assert "\n" not in line
