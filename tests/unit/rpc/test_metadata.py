from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.call import Call, Protocol
from service.errors import Reason, ServiceError
from service.rpc.metadata import call_from, initial_metadata, metadata_from, request_id_in

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
KEY = ("authorization", "Bearer the-key")


def read(*metadata, remaining=None):
    async def inside_a_loop():
        return call_from(metadata, "req-1", remaining), asyncio.get_running_loop().time()

    return asyncio.run(inside_a_loop())


def test_a_call_is_read_from_metadata():
    call, _ = read(KEY, ("traceparent", TRACE))
    assert call.credential == "the-key"
    assert call.request_id == "req-1"
    assert call.protocol is Protocol.GRPC
    assert call.traceparent == TRACE
    assert call.deadline is None


def test_the_deadline_is_on_the_clock_of_the_loop():
    call, now = read(KEY, remaining=30.0)
    assert call.deadline == pytest.approx(now + 30.0, abs=0.5)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        pytest.param((), Reason.MISSING_API_KEY, id="none"),
        pytest.param((("authorization", ""),), Reason.MISSING_API_KEY, id="empty"),
        pytest.param((("authorization", "Bearer "),), Reason.MISSING_API_KEY, id="no key"),
        pytest.param((("authorization-bin", b"Bearer x"),), Reason.MISSING_API_KEY, id="binary"),
        pytest.param((("authorization", b"Bearer x"),), Reason.MISSING_API_KEY, id="bytes"),
        pytest.param((("authorization", "Basic eDp5"),), Reason.INVALID_API_KEY, id="basic"),
        pytest.param((("authorization", "Bearer a b"),), Reason.INVALID_API_KEY, id="two words"),
        pytest.param(
            (("authorization", "Bearer a\r\nx: y"),), Reason.INVALID_API_KEY, id="line break"
        ),
        pytest.param(
            (("authorization", "Bearer " + "k" * 513),), Reason.INVALID_API_KEY, id="too long"
        ),
        pytest.param((KEY, KEY), Reason.INVALID_API_KEY, id="twice"),
    ],
)
def test_a_credential_that_is_not_one_is_refused(metadata, reason):
    with pytest.raises(ServiceError) as refusal:
        read(*metadata)
    assert refusal.value.reason is reason


def test_two_trace_contexts_are_none():
    call, _ = read(KEY, ("traceparent", TRACE), ("traceparent", TRACE))
    assert call.traceparent is None


@pytest.mark.parametrize("value", ["req-7", "a.b:c_d", "x" * 128])
def test_a_safe_request_id_is_kept(value):
    assert request_id_in([("x-request-id", value)]) == value


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param([], id="none"),
        pytest.param([("x-request-id", "")], id="empty"),
        pytest.param([("x-request-id", "a b")], id="space"),
        pytest.param([("x-request-id", "x" * 129)], id="too long"),
        pytest.param([("x-request-id", "a\n")], id="line break"),
        pytest.param([("x-request-id", b"req-7")], id="bytes"),
        pytest.param([("x-request-id", "a"), ("x-request-id", "b")], id="twice"),
    ],
)
def test_any_other_request_id_is_replaced(metadata):
    first, second = request_id_in(metadata), request_id_in(metadata)
    assert first.startswith("req_")
    assert first != second


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["authorization", "x-request-id", "traceparent", "x-any-bin"]),
            st.text() | st.binary(),
        )
    )
)
def test_no_metadata_raises_anything_but_a_refusal(metadata):
    try:
        call, _ = read(*metadata)
    except ServiceError as refusal:
        assert refusal.reason in (Reason.MISSING_API_KEY, Reason.INVALID_API_KEY)  # noqa: PT017  # either is right
    else:
        assert call.credential
    assert request_id_in(metadata)


def test_a_call_takes_its_identity_along():
    call = Call("req-1", "the-key", Protocol.HTTP, deadline=1.0, traceparent=TRACE)
    assert metadata_from(call) == (
        ("authorization", "Bearer the-key"),
        ("x-request-id", "req-1"),
        ("traceparent", TRACE),
    )


def test_a_call_reads_back_as_itself():
    call = Call("req-1", "the-key", Protocol.GRPC, traceparent=TRACE)
    assert read(*metadata_from(call))[0] == call


@pytest.mark.parametrize(
    ("asked", "answered", "named"),
    [
        ("gpt-4o", "gpt-4o", None),
        ("gpt-3", "gpt-4o", "gpt-3"),
        ("a/b:c.d", "gpt-4o", "a/b:c.d"),
        ("", "gpt-4o", None),
        ("", "", None),
        ("modèle", "gpt-4o", None),
        ("a\nb", "gpt-4o", None),
        ("x" * 257, "gpt-4o", None),
    ],
)
def test_a_substituted_model_is_named_if_it_can_be(asked, answered, named):
    metadata = dict(initial_metadata("req-1", asked, answered))
    assert metadata.pop("x-request-id") == "req-1"
    assert metadata == ({"x-onemin-model-substituted": named} if named else {})
