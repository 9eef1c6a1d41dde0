from __future__ import annotations

import pytest

from onemin.inference.v1 import error_reason_pb2
from service.errors import HTTP_ONLY, MESSAGE_LIMIT, TABLE, Reason, ServiceError, Violation

CANONICAL = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 12: 501, 13: 500, 14: 503, 16: 401}
"""What https://github.com/grpc-ecosystem/grpc-gateway makes of a code, where nobody knows better."""


def test_every_reason_has_a_row():
    assert set(TABLE) == set(Reason)


def test_the_contract_declares_the_reasons_that_travel_over_grpc_and_no_others():
    prefix = "ERROR_REASON_"
    declared = {name.removeprefix(prefix) for name, _ in error_reason_pb2.ErrorReason.items()}
    assert declared - {"UNSPECIFIED"} == {reason.value for reason in set(Reason) - HTTP_ONLY}


@pytest.mark.parametrize("reason", Reason)
def test_codes_and_statuses_blame_the_same_side(reason):
    row = TABLE[reason]
    assert row.grpc_code in CANONICAL
    assert row.http_status // 100 == CANONICAL[row.grpc_code] // 100 or reason in HTTP_ONLY


@pytest.mark.parametrize("reason", Reason)
def test_a_retry_is_offered_only_where_nothing_can_have_been_billed(reason):
    safe = {Reason.RATE_LIMITED, Reason.OVERLOADED, Reason.SHUTTING_DOWN}
    assert (TABLE[reason].retry_after is not None) == (reason in safe)


def test_a_message_is_cut():
    assert len(ServiceError(Reason.INTERNAL, "x" * 5000).message) == MESSAGE_LIMIT


def test_a_known_wait_beats_the_table():
    assert ServiceError(Reason.RATE_LIMITED, "").retry_after == 5
    assert ServiceError(Reason.RATE_LIMITED, "", retry_after=0).retry_after == 0


def test_the_first_violation_names_param_and_code():
    violations = [Violation("a", "is wrong", "invalid_type"), Violation("b", "too")]
    error = ServiceError(Reason.INVALID_FIELD, "a is wrong", violations=violations)
    assert (error.param, error.code) == ("a", "invalid_type")


def test_without_a_rule_the_table_names_the_code():
    error = ServiceError(Reason.MODEL_NOT_FOUND, "", violations=[Violation("model", "unknown")])
    assert (error.param, error.code) == ("model", "model_not_found")
    assert ServiceError(Reason.QUOTA_EXHAUSTED, "").param is None


def test_one_invalid_field():
    error = ServiceError.invalid_field("messages[0].role", "unknown role", "invalid_value")
    assert error.reason is Reason.INVALID_FIELD
    assert error.violations == (Violation("messages[0].role", "unknown role", "invalid_value"),)
    assert str(error) == error.message == "unknown role"


def test_a_bug_tells_its_caller_nothing():
    error = ServiceError.internal()
    assert error.row.http_status == 500
    assert (error.param, error.code, error.metadata) == (None, None, {})


def test_what_an_error_carries_cannot_be_changed():
    given = {"limit": "1"}
    error = ServiceError(Reason.PAYLOAD_TOO_LARGE, "", metadata=given)
    given["limit"] = "2"
    assert error.metadata == {"limit": "1"}
    with pytest.raises(TypeError):
        error.metadata["limit"] = "3"
