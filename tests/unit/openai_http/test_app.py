from __future__ import annotations

from importlib.metadata import version

import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from service.errors import Reason, ServiceError
from tests.unit.openai_http.conftest import HEADERS, open_door

pytestmark = pytest.mark.anyio

ORIGIN = {"origin": "https://chat.example"}


async def test_health_needs_no_key(door):
    response = await door.client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_the_root_tells_what_this_is(door):
    response = await door.client.get("/")
    assert response.json() == {
        "name": "onemin-gateway",
        "version": version("onemin-gateway"),
        "endpoints": {
            "chat": "/v1/chat/completions",
            "models": "/v1/models",
            "health": "/health",
            "openapi": "/openapi.json",
        },
    }


@pytest.mark.parametrize("path", ["/health", "/", "/v1/models", "/v1/models/a%2Fb:c"])
async def test_head_answers_as_get_does_without_the_body(door, port, path):
    port.pages = [pb.ListModelsResponse()] * 2
    get = await door.get(path)
    head = await door.client.head(path, headers=HEADERS)
    assert (get.status_code, head.status_code) == (200, 200)
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))


UNKNOWN = ["/v1/foo", "/v1", "/V1/models", "/v1/chat", "/healthz", "/v1/chat/completions/x"]


@pytest.mark.parametrize("path", UNKNOWN)
async def test_an_unknown_url_is_a_404_with_an_error_object(door, path):
    response = await door.client.post(f"{path}?secret=1")
    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": f"Invalid URL (POST {path})",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert door.refused() == {"UNKNOWN_URL": 1}


WRONG_METHODS = {
    "chat": ("GET", "/v1/chat/completions", {"POST"}),
    "head of chat": ("HEAD", "/v1/chat/completions", {"POST"}),
    "models": ("POST", "/v1/models", {"GET", "HEAD"}),
    "model": ("DELETE", "/v1/models/gpt-4o", {"GET", "HEAD"}),
    "no preflight": ("OPTIONS", "/v1/chat/completions", {"POST"}),
    "health": ("PUT", "/health", {"GET", "HEAD"}),
}


@pytest.mark.parametrize(("method", "path", "allowed"), WRONG_METHODS.values(), ids=WRONG_METHODS)
async def test_a_wrong_method_is_a_405_that_names_the_right_ones(door, method, path, allowed):
    response = await door.client.request(method, path)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == allowed
    if method != "HEAD":
        error = response.json()["error"]
        assert error["message"].startswith(f"Not allowed to {method} on {path}. (HINT:")
        assert error["code"] == "method_not_supported"
    assert door.refused() == {"METHOD_NOT_SUPPORTED": 1}


@pytest.mark.parametrize("path", ["/health/", "/v1/models/gpt-4o/", "/v1/chat/completions/"])
async def test_a_slash_at_the_end_makes_no_difference(door, path):
    slashed = await door.get(path)
    plain = await door.get(path.rstrip("/"))
    assert slashed.status_code == plain.status_code
    assert not slashed.is_redirect


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/v1/nope", "/health"])
async def test_every_answer_has_the_headers_of_openai(door, path):
    headers = (await door.get(path)).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-processing-ms"].isdecimal()
    assert headers["openai-version"] == "2020-10-01"


async def test_preflights_are_answered_for_the_headers_that_sdks_send(door):
    asked = "authorization,content-type,x-stainless-os"
    response = await door.client.options(
        "/v1/chat/completions",
        headers={
            **ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": asked,
        },
    )
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-headers"] == asked
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in response.headers


async def cross_origin(door, case):
    match case:
        case "success":
            return await door.chat(headers=ORIGIN)
        case "stream":
            return await door.chat(headers=ORIGIN, stream=True)
        case "refused":
            return await door.chat(headers=ORIGIN, model=None)
        case "failed":
            door.port.failure = RuntimeError("a bug")
            return await door.chat(headers=ORIGIN)
        case "unknown":
            return await door.client.get("/nope", headers=ORIGIN)
        case "anonymous":
            return await door.client.get("/v1/models", headers=ORIGIN)


CROSS = {
    "success": 200,
    "stream": 200,
    "refused": 400,
    "failed": 500,
    "unknown": 404,
    "anonymous": 401,
}


@pytest.mark.parametrize(("case", "status"), CROSS.items())
async def test_web_pages_can_read_every_answer(door, case, status):
    response = await cross_origin(door, case)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example", "https://a.example"),
        ("https://a.example.evil", None),
        ("https://sub.a.example", None),
        ("null", None),
    ],
)
async def test_only_listed_origins_are_allowed(port, origin, allowed):
    async with open_door(port, cors_origins="https://a.example,https://b.example") as door:
        response = await door.client.get("/health", headers={"origin": origin})
        assert response.headers.get("access-control-allow-origin") == allowed
        assert "access-control-allow-credentials" not in response.headers


async def test_without_origins_there_are_no_cors_headers(port):
    async with open_door(port, cors_origins=",") as door:
        response = await door.client.get("/health", headers=ORIGIN)
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_refusals_of_the_port_are_not_counted_as_ours(door, port):
    port.failure = ServiceError(Reason.RATE_LIMITED, "slow down")
    response = await door.chat()
    assert response.status_code == 429
    assert door.refused() == {}
