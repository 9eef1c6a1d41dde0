from __future__ import annotations

import pytest

from service import http_protocol
from service.http_server import HttpServer
from tests.unit.http_protocol.wire import Echo


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
async def server(echo):
    server = HttpServer(echo, "127.0.0.1", 0)
    yield server
    await server.stop(0)


@pytest.fixture
async def port(server):
    port = server.bind()
    await server.start()
    return port


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(http_protocol.BoundedHttpProtocol, "head_timeout", 0.2)
    monkeypatch.setattr(http_protocol.BoundedHttpProtocol, "body_timeout", 0.2)
    monkeypatch.setattr(http_protocol.BoundedHttpProtocol, "linger_timeout", 0.2)
