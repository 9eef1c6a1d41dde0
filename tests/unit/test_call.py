from __future__ import annotations

import asyncio
import re

import pytest

from service.call import (
    CREDENTIAL_LIMIT,
    Call,
    Protocol,
    credential_from,
    request_id_from,
    traceparent_from,
)
from service.errors import Reason, ServiceError

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("value", ["a", "A.b:c-d_9", "x" * 128])
def test_a_safe_request_id_is_kept(value):
    assert request_id_from(value) == value


@pytest.mark.parametrize(
    "value", [None, "", "x" * 129, "a b", "a\r\nb", "ä", "a;b", "a\n"], ids=repr
)
def test_any_other_request_id_is_replaced(value):
    minted = request_id_from(value)
    assert re.fullmatch(r"req_[0-9a-f]{32}", minted)
    assert minted != request_id_from(value)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer k3y", "k3y"),
        ("bearer k3y", "k3y"),
        ("BEARER   k3y  ", "k3y"),
        ("Bearer a-_.~+/=!#", "a-_.~+/=!#"),
        ("Bearer 'OR'1'='1", "'OR'1'='1"),
        ("Bearer " + "k" * CREDENTIAL_LIMIT, "k" * CREDENTIAL_LIMIT),
    ],
)
def test_a_bearer_credential_is_taken_as_it_is(header, key):
    assert credential_from(header) == key


@pytest.mark.parametrize("header", [None, "", "   ", "Bearer", "Bearer   ", "bearer"], ids=repr)
def test_no_credential_is_a_missing_key(header):
    with pytest.raises(ServiceError) as caught:
        credential_from(header)
    assert caught.value.reason is Reason.MISSING_API_KEY


@pytest.mark.parametrize(
    "header",
    [
        "k3y",
        "Basic dXNlcjpwYXNz",
        "Bearer two words",
        "Bearer k\x00y",
        "Bearer k\r\nx: y",
        "Bearer schlüssel",
        "Bearer k\x7f",
        "Bearer " + "k" * (CREDENTIAL_LIMIT + 1),
        "Bearer ' OR '1'='1",
    ],
    ids=repr,
)
def test_a_malformed_credential_is_refused_and_not_repeated(header):
    with pytest.raises(ServiceError) as caught:
        credential_from(header)
    assert caught.value.reason is Reason.INVALID_API_KEY
    assert caught.value.message == (
        "The Authorization header is malformed. Expected: Authorization: Bearer YOUR_KEY."
    )


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (TRACE, True),
        (None, False),
        ("", False),
        (TRACE.upper(), False),
        (TRACE + "-extra", False),
        (TRACE[:-1], False),
        ("garbage\r\n", False),
    ],
    ids=repr,
)
def test_only_a_well_formed_traceparent_is_kept(value, kept):
    assert traceparent_from(value) == (value if kept else None)


def _call(**fields):
    return Call(request_id="r", credential="s3cret", protocol=Protocol.HTTP, **fields)


def test_the_credential_is_never_shown():
    assert "s3cret" not in repr(_call())


def test_the_trace_of_a_call():
    assert _call(traceparent=TRACE).trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert _call().trace_id is None


@pytest.mark.anyio
async def test_the_time_that_remains():
    now = asyncio.get_running_loop().time()
    assert _call().remaining() is None
    assert _call(deadline=now - 5).remaining() == 0
    assert 4 < _call(deadline=now + 5).remaining() <= 5
