from __future__ import annotations

import pytest

from service.upstream.errors import (
    UpstreamMalformed,
    UpstreamRefused,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from service.upstream.retries import LONGEST_WAIT, Retries

VENDOR = "EXTERNAL_API_RESPONSE_WITH_ERROR"


def refused(status, **fields):
    return UpstreamRefused(**{"status": status, "code": "", "message": "", **fields})


def waits(error, *, deadline=None, tries=None):
    tries = tries or Retries()
    made = []
    while (retry := tries.wait_after(error, now=100.0, deadline=deadline)) is not None:
        made.append(retry)
    return made


@pytest.mark.parametrize(
    ("error", "cause", "times"),
    [
        pytest.param(UpstreamUnavailable("x", sent=False), "connect", 2, id="no connection"),
        pytest.param(refused(429, retry_after=2.0), "rate_limited", 2, id="429 with a hint"),
        pytest.param(refused(500), "server_error", 1, id="JSON 500"),
        pytest.param(refused(503), "server_error", 1, id="JSON 503"),
        pytest.param(
            refused(400, code=VENDOR, inner_status=429), "server_error", 1, id="vendor is busy"
        ),
        pytest.param(
            refused(400, code=VENDOR, inner_status=502), "server_error", 1, id="vendor is down"
        ),
    ],
)
def test_failures_that_cannot_have_been_billed_are_tried_again(error, cause, times):
    assert [made for made, _ in waits(error)] == [cause] * times


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(UpstreamUnavailable("x", sent=True), id="reset after sending"),
        pytest.param(UpstreamTimeout("x", sent=True), id="no answer in time"),
        pytest.param(UpstreamTimeout("x", sent=False), id="no connection in time"),
        pytest.param(UpstreamStalled("x"), id="stalled"),
        pytest.param(UpstreamTruncated("x"), id="truncated"),
        pytest.param(UpstreamMalformed("x"), id="malformed"),
        pytest.param(refused(429), id="429 without a hint"),
        pytest.param(refused(429, retry_after=LONGEST_WAIT), id="429, too long a wait"),
        pytest.param(refused(500, is_json=False), id="a page with 500"),
        pytest.param(refused(503, is_json=False), id="a page with 503"),
        pytest.param(refused(502), id="502"),
        pytest.param(refused(504), id="504"),
        pytest.param(refused(522, is_json=False), id="522"),
        pytest.param(refused(400), id="400"),
        pytest.param(refused(401), id="401"),
        pytest.param(refused(406), id="406"),
        pytest.param(refused(400, code=VENDOR, inner_status=400), id="vendor refused"),
        pytest.param(refused(400, code=VENDOR), id="vendor, without its status"),
        pytest.param(refused(400, code="OTHER", inner_status=503), id="another code"),
        pytest.param(refused(200, code="UNSUPPORTED_MODEL"), id="under a success"),
    ],
)
def test_failures_that_are_final(error):
    assert waits(error) == []


def test_a_hint_is_honoured_to_the_end():
    assert all(7.0 <= wait <= 8.0 for _, wait in waits(refused(429, retry_after=7.0)))


def test_back_off_grows():
    first, second = (wait for _, wait in waits(UpstreamUnavailable("x", sent=False)))
    assert 0.1 <= first <= 0.15
    assert 0.2 <= second <= 0.3


@pytest.mark.parametrize(
    ("error", "room"),
    [
        (refused(429, retry_after=7.0), 7.0),
        (refused(503), 0.9),
        (UpstreamUnavailable("x", sent=False), 0.05),
    ],
)
def test_no_wait_reaches_over_the_deadline(error, room):
    assert waits(error, deadline=100.0 + room) == []
    assert waits(error, deadline=100.0 + room + 10) != []


def test_causes_are_counted_apart():
    tries = Retries()
    assert len(waits(refused(503), tries=tries)) == 1
    assert len(waits(UpstreamUnavailable("x", sent=False), tries=tries)) == 2
