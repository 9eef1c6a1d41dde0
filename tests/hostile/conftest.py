from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from service.observability import logging as service_logging

pytest.register_assert_rewrite("tests.hostile.wire")


class Log:
    """What the process logs at `debug`, as an operator would get it."""

    def __init__(self):
        self.stream = io.StringIO()

    @property
    def text(self):
        return self.stream.getvalue()

    def lines(self):
        """Return the lines; fails if one is not a JSON object of its own."""
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log():
    """The real log set-up, at its most talkative, until the end of the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structured = structlog.get_config()
    log = Log()
    service_logging.configure("debug", log.stream)
    yield log
    structlog.configure(**structured)
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
async def one_loop(anyio_backend):
    """Keep one event loop for all tests: gRPC has one completion queue in a process."""
    yield anyio_backend  # noqa: PT022  # a generator holds the loop, a coroutine would let it go
