from __future__ import annotations

import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1 import model_pb2
from service.errors import Reason, ServiceError
from service.openai_http.models import PAGES_LIMIT
from tests.unit.openai_http.conftest import HEADERS

pytestmark = pytest.mark.anyio


def model(model_id):
    return model_pb2.Model(id=model_id, owner="openai", capabilities=[1])


async def test_the_list_joins_the_pages_of_the_port(door, port):
    port.pages = [
        pb.ListModelsResponse(models=[model("a"), model("b")], next_page_token="2"),
        pb.ListModelsResponse(models=[model("c")]),
    ]
    response = await door.get("/v1/models")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["object"] == "list"
    assert [each["id"] for each in response.json()["data"]] == ["a", "b", "c"]
    assert [request.page_token for request in port.requests] == ["", "2"]
    assert {request.capability for request in port.requests} == {1}


async def test_a_list_without_an_end_is_an_error(door, port):
    port.pages = [pb.ListModelsResponse(next_page_token="x")] * (PAGES_LIMIT + 1)
    response = await door.get("/v1/models")
    assert response.status_code == 500
    assert len(port.requests) == PAGES_LIMIT


PATHS = {
    "plain": ("gpt-4o", "gpt-4o"),
    "raw": ("a/b:c", "a/b:c"),
    "encoded": ("a%2Fb%3Ac", "a/b:c"),
    "dots": ("claude-3.5", "claude-3.5"),
    "slash at the end": ("gpt-4o/", "gpt-4o"),
    "encoded slash at the end": ("a%2F", "a/"),
    "encoded slash and a slash": ("a%2F/", "a/"),
    "encoded percent": ("a%252Fb", "a%2Fb"),
    "question mark": ("a%3Fb?x=y", "a?b"),
    "unicode": ("%E2%98%83", "☃"),
    "broken encoding": ("a%FF", "a\ufffd"),
}


@pytest.mark.parametrize(("path", "model_id"), PATHS.values(), ids=PATHS)
async def test_ids_are_taken_raw_and_encoded(door, port, path, model_id):
    response = await door.get(f"/v1/models/{path}")
    assert response.status_code == 200
    assert [request.id for request in port.requests] == [model_id]
    assert response.json()["object"] == "model"


@pytest.mark.parametrize("model_id", ["nope", "x" * 257, "/"])
async def test_an_unknown_model_is_a_404_about_the_model(door, port, model_id):
    port.failure = ServiceError(Reason.MODEL_NOT_FOUND, "The model `nope` does not exist")
    response = await door.get(f"/v1/models/{model_id}")
    error = response.json()["error"]
    assert response.status_code == 404
    assert error["message"].startswith("The model '")
    assert (error["param"], error["code"]) == ("model", "model_not_found")


async def test_other_failures_stay_what_they_are(door, port):
    port.failure = ServiceError(Reason.OVERLOADED, "busy")
    response = await door.get("/v1/models/gpt-4o")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt-4o"])
async def test_a_key_is_asked_for(door, path):
    response = await door.client.get(path)
    assert response.status_code == 401
    assert response.json()["error"]["code"] is None
    wrong = await door.client.get(path, headers={"authorization": "Basic abc"})
    assert wrong.json()["error"]["code"] == "invalid_api_key"
    assert door.refused() == {"MISSING_API_KEY": 1, "INVALID_API_KEY": 1}


async def test_two_keys_are_refused_as_none_is_the_right_one(door, port):
    headers = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    response = await door.client.get("/v1/models", headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert port.calls == []


async def test_the_call_carries_what_the_headers_say(door, port):
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    headers = {**HEADERS, "x-request-id": "mine-1", "traceparent": traceparent}
    response = await door.client.get("/v1/models/gpt-4o", headers=headers)
    [call] = port.calls
    assert (call.request_id, call.credential, call.protocol) == ("mine-1", "sk-test-key", "http")
    assert (call.deadline, call.traceparent) == (None, traceparent)
    assert response.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("request_id", ["a b", "ü", "x" * 129])
async def test_an_unsafe_request_id_is_replaced(door, request_id):
    headers = {"x-request-id": request_id.encode()}
    response = await door.client.get("/health", headers=headers)
    assert response.headers["x-request-id"].startswith("req_")
