from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e import nginx

ENVOY = Path(sys.prefix, "envoy", "bin", "envoy")
"""Where `make e2e` has `install.sh` put it."""


@pytest.fixture(scope="session")
def nginx_program():
    assert Path(nginx.PROGRAM).exists(), "nginx is missing: run make e2e"
    return nginx.PROGRAM


@pytest.fixture(scope="session")
def envoy_program():
    assert ENVOY.exists(), "Envoy is missing: run make e2e"
    return ENVOY
