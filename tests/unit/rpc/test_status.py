from __future__ import annotations

from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status
from grpc.aio import AioRpcError, Metadata
from hypothesis import given
from hypothesis import strategies as st

from service.errors import DOMAIN, HTTP_ONLY, TABLE, Reason, ServiceError, Violation
from service.rpc.status import from_rpc_error, rebuilt, to_grpc, to_status

REASONS = sorted(set(Reason) - HTTP_ONLY)
VIOLATIONS = (
    Violation("messages[0].role", "It is not a role.", "invalid_value"),
    Violation("model", "It is too long."),
)


def arrived(status):
    """The status as the error that a client sees."""
    trailers = Metadata(*status.trailing_metadata)
    return AioRpcError(status.code, Metadata(), trailers, details=status.details)


def packed(*messages, code=3, message="no"):
    status = Status(code=code, message=message)
    for detail in messages:
        status.details.add().Pack(detail)
    return status


def carrying(status, *, code=grpc.StatusCode.INVALID_ARGUMENT, message="no"):
    """An error of the given code with any bytes as its status."""
    body = status if isinstance(status, bytes) else status.SerializeToString()
    return AioRpcError(code, Metadata(), Metadata(("grpc-status-details-bin", body)), message)


def found(status, kind):
    messages = [kind() for detail in status.details if detail.Is(kind.DESCRIPTOR)]
    for message in messages:
        assert any(detail.Unpack(message) for detail in status.details)
    assert len(messages) <= 1
    return messages[0] if messages else None


def facts(error):
    return (
        error.reason,
        error.message,
        error.violations,
        dict(error.metadata),
        error.retry_after,
    )


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="bare"),
        pytest.param({"violations": VIOLATIONS}, id="violations"),
        pytest.param({"metadata": {"limit": "4096", "model": "a/b:c"}}, id="metadata"),
        pytest.param({"retry_after": 0.0}, id="retry at once"),
        pytest.param({"retry_after": 2.125}, id="retry later"),
        pytest.param({"retry_after": 86400.0}, id="retry tomorrow"),
    ],
)
def test_an_error_survives_the_hop(reason, fields):
    error = ServiceError(reason, f"It failed: {reason}, « désolé ».", **fields)
    assert facts(from_rpc_error(arrived(to_grpc(error, "req-1")))) == facts(error)


@given(
    reason=st.sampled_from(REASONS),
    message=st.text(max_size=200),
    violations=st.lists(
        st.builds(
            Violation,
            st.text(st.characters(codec="utf-8"), max_size=20),
            st.text(st.characters(codec="utf-8"), max_size=40),
            st.none() | st.from_regex(r"[a-z_]{1,20}", fullmatch=True),
        ),
        max_size=8,
    ),
    retry_after=st.none() | st.integers(0, 86400 * 8).map(lambda eighths: eighths / 8),
)
def test_any_error_of_ordinary_size_survives_the_hop(reason, message, violations, retry_after):
    message = message.encode(errors="replace").decode()
    error = ServiceError(reason, message, violations=violations, retry_after=retry_after)
    assert facts(from_rpc_error(arrived(to_grpc(error, "req-1")))) == facts(error)


@given(
    reason=st.sampled_from(REASONS),
    message=st.text(min_size=1) | st.just("漢\ud800" * 600),
    metadata=st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=20),
    violations=st.lists(
        st.builds(Violation, st.text(), st.text(), st.text() | st.just("x" * 2000)), max_size=40
    ),
    factor=st.integers(1, 200),
    retry_after=st.none() | st.floats(),
)
def test_no_error_is_too_large_for_the_trailers(
    reason, message, metadata, violations, factor, retry_after
):
    violations = [
        Violation(each.field * factor, each.description * factor, each.rule) for each in violations
    ]
    error = ServiceError(
        reason,
        message * factor,
        violations=violations,
        metadata=metadata,
        retry_after=retry_after,
    )
    status = to_grpc(error, "r" * 128)
    assert to_status(error, "r" * 128).ByteSize() <= 3072
    assert len(status.details.encode()) <= 1024
    again = from_rpc_error(arrived(status))
    assert again.reason is reason
    assert len(again.violations) <= 16


@dataclass
class Case:
    error: ServiceError
    kinds: set[type]


ALWAYS = {details.ErrorInfo, details.RequestInfo}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            Case(
                ServiceError.invalid_field("model", "no", "invalid_type"),
                ALWAYS | {details.BadRequest},
            ),
            id="field",
        ),
        pytest.param(
            Case(ServiceError(Reason.RATE_LIMITED, "no"), ALWAYS | {details.RetryInfo}),
            id="rate limit",
        ),
        pytest.param(
            Case(ServiceError(Reason.QUOTA_EXHAUSTED, "no"), ALWAYS | {details.QuotaFailure}),
            id="quota",
        ),
        pytest.param(
            Case(ServiceError(Reason.MODEL_NOT_FOUND, "no"), ALWAYS | {details.ResourceInfo}),
            id="model",
        ),
        pytest.param(
            Case(ServiceError(Reason.SHUTTING_DOWN, "no"), ALWAYS | {details.RetryInfo}),
            id="shutting down",
        ),
        pytest.param(Case(ServiceError.internal(), ALWAYS), id="bug"),
    ],
)
def test_each_error_has_the_details_that_apply_once(case):
    status = to_status(case.error, "req-1")
    kinds = [detail.TypeName() for detail in status.details]
    assert sorted(kinds) == sorted(kind.DESCRIPTOR.full_name for kind in case.kinds)


@pytest.mark.parametrize("reason", REASONS)
def test_every_status_says_who_failed_why_and_where(reason):
    status = to_status(ServiceError(reason, "no", metadata={"limit": "1"}), "req-1")
    assert status.code == TABLE[reason].grpc_code
    info = found(status, details.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == (reason, DOMAIN, {"limit": "1"})
    assert found(status, details.RequestInfo).request_id == "req-1"
    assert (found(status, details.RetryInfo) is None) is (TABLE[reason].retry_after is None)
    assert found(status, details.DebugInfo) is None


def test_a_violation_names_field_and_rule():
    status = to_status(ServiceError.invalid_field("messages", "too many", "max_length"), "req-1")
    (violation,) = found(status, details.BadRequest).field_violations
    assert violation.field == "messages"
    assert violation.description == "too many"
    assert violation.reason == "MAX_LENGTH"


def test_an_unknown_model_is_named():
    error = ServiceError(Reason.MODEL_NOT_FOUND, "no", metadata={"model": "gpt-9"})
    resource = found(to_status(error, "req-1"), details.ResourceInfo)
    assert resource.resource_type == "onemin.inference.v1.Model"
    assert resource.resource_name == "gpt-9"


@pytest.mark.parametrize(
    ("retry_after", "pushback"),
    [(None, "-1"), (0.0, "0"), (1.0, "1000"), (0.0001, "1"), (1e12, "86400000"), (-3.0, "0")],
)
def test_clients_of_the_c_core_are_told_when_to_retry(retry_after, pushback):
    error = ServiceError(Reason.UPSTREAM_UNAVAILABLE, "no", retry_after=retry_after)
    trailers = dict(to_grpc(error, "req-1").trailing_metadata)
    assert trailers["grpc-retry-pushback-ms"] == pushback
    assert trailers["x-request-id"] == "req-1"


SENT = "CLIENT: Sent message larger than max (9 vs. 8)"
RECEIVED = "SERVER: Received message larger than max (9 vs. 8)"
ANSWER = "CLIENT: Received message larger than max (9 vs. 8)"


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        ("UNAVAILABLE", "failed to connect to 10.0.0.7:50051", Reason.UPSTREAM_UNAVAILABLE),
        ("CANCELLED", "RST_STREAM", Reason.UPSTREAM_UNAVAILABLE),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Reason.DEADLINE_EXCEEDED),
        ("RESOURCE_EXHAUSTED", SENT, Reason.PAYLOAD_TOO_LARGE),
        ("RESOURCE_EXHAUSTED", RECEIVED, Reason.PAYLOAD_TOO_LARGE),
        ("RESOURCE_EXHAUSTED", ANSWER, Reason.INTERNAL),
        ("RESOURCE_EXHAUSTED", None, Reason.INTERNAL),
        ("PERMISSION_DENIED", "RBAC: access denied", Reason.INTERNAL),
        ("UNAUTHENTICATED", "mesh", Reason.INTERNAL),
        ("UNIMPLEMENTED", "Method not found!", Reason.INTERNAL),
        ("INVALID_ARGUMENT", "bad", Reason.INTERNAL),
        ("NOT_FOUND", "bad", Reason.INTERNAL),
        ("UNKNOWN", "Unexpected <class 'ValueError'>: secret", Reason.INTERNAL),
        ("INTERNAL", "Received RST_STREAM", Reason.INTERNAL),
        ("DATA_LOSS", "bad", Reason.INTERNAL),
    ],
)
def test_a_foreign_error_is_judged_by_its_code(code, text, reason):
    error = AioRpcError(grpc.StatusCode[code], Metadata(), Metadata(), details=text)
    again = from_rpc_error(error)
    assert again.reason is reason
    assert again.retry_after is None
    assert not text or text not in again.message


def test_an_error_without_trailers_is_foreign():
    error = AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), None, details="gone")
    assert from_rpc_error(error).reason is Reason.UPSTREAM_UNAVAILABLE


OURS = details.ErrorInfo(reason="MODEL_NOT_FOUND", domain=DOMAIN)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(carrying(b"\xff\xff\xff"), id="not a status"),
        pytest.param(carrying(packed()), id="no details"),
        pytest.param(carrying(packed(details.RetryInfo())), id="no info"),
        pytest.param(
            carrying(packed(details.ErrorInfo(reason="MODEL_NOT_FOUND", domain="example.com"))),
            id="another domain",
        ),
        pytest.param(
            carrying(packed(details.ErrorInfo(reason="NEWER", domain=DOMAIN))), id="unknown reason"
        ),
        pytest.param(carrying(packed(OURS, code=5)), id="another code"),
        pytest.param(carrying(packed(OURS, message="yes")), id="another text"),
        pytest.param(
            carrying(
                Status(
                    code=3,
                    message="no",
                    details=[
                        Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
                    ],
                )
            ),
            id="broken info",
        ),
    ],
)
def test_what_is_not_ours_is_not_believed(error):
    assert rebuilt(error) is None
    assert from_rpc_error(error).reason is Reason.INTERNAL
