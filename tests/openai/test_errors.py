from __future__ import annotations

import openai
import pytest

from tests.openai.conftest import MODEL, ask, connected

pytestmark = pytest.mark.anyio

REFUSED = {
    "range": ({"temperature": 3}, "temperature", "decimal_above_max_value"),
    "choices": ({"n": 2}, "n", "unsupported_value"),
    "tools": (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "tools",
        "unsupported_parameter",
    ),
    "json": ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_value"),
    "logprobs": ({"logprobs": True}, "logprobs", "unsupported_parameter"),
    "no messages": ({"messages": []}, "messages", "empty_array"),
    "image": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
            ]
        },
        "messages.[0].content.[0].type",
        None,
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("fields", "param", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_honoured_is_a_bad_request(client, fields, param, code, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**(ask("hello", stream=stream) | fields))
    error = caught.value
    assert (error.param, error.code, error.type) == (param, code, "invalid_request_error")
    assert error.request_id.startswith("req_")


FAULTS = {
    "unauthorized-docs": (openai.AuthenticationError, 401, "invalid_api_key"),
    "forbidden-json-403": (openai.PermissionDeniedError, 403, "permission_denied"),
    "rate-limited-docs": (openai.RateLimitError, 429, "rate_limit_exceeded"),
    "insufficient-credits": (openai.RateLimitError, 429, "insufficient_quota"),
    "external-api-error-moderation": (openai.BadRequestError, 400, "content_policy_violation"),
    "bad-gateway-502": (openai.InternalServerError, 502, "upstream_unavailable"),
    "ok-but-html": (openai.InternalServerError, 502, "upstream_unavailable"),
    "invalid-request-docs": (openai.InternalServerError, 502, "upstream_rejected"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failure_of_the_provider_is_a_true_status(client, fault, stream):
    kind, status, code = FAULTS[fault]
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(**ask(f"hello [[fault:{fault}]]", stream=stream))
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert "1min.ai/" not in caught.value.message
    assert "<" not in caught.value.message


async def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(**(ask("hello") | {"model": "no-such-model"}))
    assert (caught.value.code, caught.value.param) == ("model_not_found", None)


@pytest.mark.parametrize("authorization", ["Bearer a key", "Basic a-key", f"Bearer {'k' * 513}"])
async def test_a_malformed_key_is_refused_without_asking_the_provider(
    gateway, client, authorization
):
    seen = len(gateway.simulator.seen)
    headers = {"authorization": authorization}
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.chat.completions.create(**ask("hello"), extra_headers=headers)
    assert caught.value.code == "invalid_api_key"
    assert len(gateway.simulator.seen) == seen


MIDWAY = {
    "error-midway": ("upstream_unavailable", "server_error"),
    "error-object:midway": ("insufficient_quota", "insufficient_quota"),
    "no-end": ("upstream_truncated", "server_error"),
}


@pytest.mark.parametrize("fault", MIDWAY)
async def test_a_failure_midway_is_raised_and_not_taken_for_the_end(client, fault):
    stream = await client.chat.completions.create(
        **ask(f"repeat: one two three four [[fault:{fault}]]", stream=True)
    )
    choices = []

    async def read():
        async for chunk in stream:
            choices.extend(chunk.choices)

    with pytest.raises(openai.APIError) as caught:
        await read()
    assert not isinstance(caught.value, openai.APIStatusError)
    assert "".join(choice.delta.content or "" for choice in choices)
    assert {choice.finish_reason for choice in choices} == {None}
    assert (caught.value.code, caught.value.type) == MIDWAY[fault]


RETRIES = {
    "a wait": ("rate-limited-retry-after:0.01", 3),
    "billed twice": ("bad-gateway-502", 1),
    "will not help": ("insufficient-credits", 1),
}


@pytest.mark.parametrize(("fault", "requests"), RETRIES.values(), ids=RETRIES)
async def test_the_client_tries_again_only_where_that_is_safe(gateway, fault, requests):
    sent = []

    async def note(request):
        sent.append(request)

    async with connected(gateway, max_retries=2) as client:
        client._client.event_hooks["request"].append(note)
        with pytest.raises(openai.APIStatusError):
            await client.chat.completions.create(**ask(f"hello [[fault:{fault}]]"))
    assert len(sent) == requests


async def test_an_unknown_url_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="Invalid URL \\(POST /v1/embeddings\\)"):
        await client.embeddings.create(model=MODEL, input="hello")
