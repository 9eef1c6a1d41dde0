from __future__ import annotations

import sys
from pathlib import Path

import pytest

NGINX = Path("/usr/sbin/nginx")
ENVOY = Path(sys.prefix, "envoy", "bin", "envoy")
"""Where `make e2e` has `install.sh` put it."""


@pytest.fixture(scope="session")
def nginx_program():
    assert NGINX.exists(), "nginx is missing: run make e2e"
    return NGINX


@pytest.fixture(scope="session")
def envoy_program():
    assert ENVOY.exists(), "Envoy is missing: run make e2e"
    return ENVOY
