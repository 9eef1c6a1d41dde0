from __future__ import annotations

import orjson
import pytest
from starlette.exceptions import HTTPException

from service.errors import TABLE, Reason, ServiceError, Violation
from service.openai_http.errors import (
    error_headers,
    error_json,
    error_object,
    openai_path,
    routing_error,
)

PATHS = {
    "spec.model": "model",
    "spec.messages": "messages",
    "spec.messages[3].role": "messages[3].role",
    "spec.messages[0].parts[12].text": "messages[0].content[12].text",
    "spec.sampling.temperature": "temperature",
    "spec.sampling.max_completion_tokens": "max_completion_tokens",
    "spec.sampling.stop_sequences[1]": "stop[1]",
    "spec.sampling.stop_sequences": "stop",
    "spec.web_search.max_sites": "web_search_options.max_sites",
    "id": "model",
    "messages[0].tool_calls[0].id": "messages[0].tool_calls[0].id",
    "response_format.type": "response_format.type",
    "messages.[0].content.[1].type": "messages.[0].content.[1].type",
}


@pytest.mark.parametrize(("field", "shown"), PATHS.items())
def test_fields_are_shown_in_openai_s_spelling(field, shown):
    assert openai_path(field) == shown


def test_a_violation_of_the_contract_reads_as_openai_s():
    field = "spec.sampling.temperature"
    message = f"Invalid '{field}': must be less than or equal to 2."
    violation = Violation(field, "too high", "double.lte")
    error = ServiceError(Reason.INVALID_FIELD, message, violations=[violation])
    assert error_object(error) == {
        "error": {
            "message": "Invalid 'temperature': must be less than or equal to 2.",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "invalid_value",
        }
    }


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_all_four_keys(reason):
    shown = orjson.loads(error_json(ServiceError(reason, "What happened.")))
    row = TABLE[reason]
    assert shown == {
        "error": {
            "message": "What happened.",
            "type": row.type,
            "param": None,
            "code": row.code,
        }
    }


RETRIES = {
    "not retried by clients": (Reason.INVALID_FIELD, None, {}),
    "wait known": (Reason.RATE_LIMITED, 2.5, {"retry-after": "3", "retry-after-ms": "2500"}),
    "wait of the table": (Reason.OVERLOADED, None, {"retry-after": "1", "retry-after-ms": "1000"}),
    "at once": (Reason.SHUTTING_DOWN, None, {"retry-after": "0", "retry-after-ms": "0"}),
    "would be billed twice": (Reason.UPSTREAM_TRUNCATED, None, {"x-should-retry": "false"}),
    "will not help": (Reason.QUOTA_EXHAUSTED, None, {"x-should-retry": "false"}),
    "a bug": (Reason.INTERNAL, None, {"x-should-retry": "false"}),
}


@pytest.mark.parametrize(("reason", "wait", "expected"), RETRIES.values(), ids=RETRIES)
def test_clients_are_told_whether_to_try_again(reason, wait, expected):
    headers = error_headers(ServiceError(reason, "x", retry_after=wait))
    assert {name.decode(): value.decode() for name, value in headers} == expected


def test_an_unknown_url_is_shown_cut():
    error = routing_error(HTTPException(404), "POST", "/v1/" + "x" * 1000)
    assert error.message.startswith("Invalid URL (POST /v1/xxx")
    assert len(error.message) < 300
