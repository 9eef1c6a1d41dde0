from __future__ import annotations

import resource

import pytest
from structlog.testing import capture_logs

from service.open_files import FILES_PER_CALL, SPARE, make_room

LIMIT = resource.RLIMIT_NOFILE


@pytest.fixture
def limit():
    """Set this process's own limit, and have it as it was afterwards."""
    before, most = resource.getrlimit(LIMIT)
    yield lambda files: resource.setrlimit(LIMIT, (files, most))
    resource.setrlimit(LIMIT, (before, most))


def test_the_limit_is_raised_to_what_the_calls_need(limit):
    limit(512)
    make_room(400)

    assert resource.getrlimit(LIMIT)[0] == 400 * FILES_PER_CALL + SPARE


def test_a_limit_that_suffices_is_left_alone(limit):
    limit(1000)
    make_room(100)

    assert resource.getrlimit(LIMIT)[0] == 1000


def test_a_limit_that_stays_too_low_is_told(limit, monkeypatch):
    limit(512)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 600))
    monkeypatch.setattr(resource, "setrlimit", lambda *given: given)
    with capture_logs() as logs:
        make_room(400)

    assert [(log["limit"], log["needed"]) for log in logs] == [(600, 928)]


def test_without_a_hard_limit_all_that_is_needed_is_had(monkeypatch):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda *given: asked.append(given))
    make_room(400)

    assert asked == [(LIMIT, (928, resource.RLIM_INFINITY))]
