from __future__ import annotations

import json

import jsonschema_rs
import msgspec
import pytest
from starlette.routing import Route

from service.errors import TABLE, ServiceError
from service.openai_http import objects
from service.openai_http.app import Routes
from service.openai_http.decode import decode_chat_request
from service.openai_http.openapi import document
from service.settings import Settings
from service.stages import Stages
from tests.unit.openai_http.conftest import BODY

ROUTES = [
    route for route in Routes(None, Settings(), Stages())._router.routes if isinstance(route, Route)
]


@pytest.fixture(scope="module")
def openapi():
    return document([route.path for route in ROUTES], "1.2.3")


@pytest.fixture(scope="module")
def body_schema(openapi):
    components = {"components": openapi["components"]}
    return jsonschema_rs.validator_for({"$ref": "#/components/schemas/ChatBody", **components})


@pytest.mark.anyio
async def test_the_document_is_served_without_a_key(door, openapi):
    answer = await door.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == openapi | {"info": answer.json()["info"]}
    assert answer.json()["info"]["version"] != ""


def test_every_route_is_described_with_its_methods(openapi):
    described = {
        path: {method.upper() for method in item if method in ("get", "post")}
        for path, item in openapi["paths"].items()
    }
    assert described == {
        route.path.replace(":path", ""): route.methods - {"HEAD"} for route in ROUTES
    }


@pytest.mark.parametrize("paths", [["/health"], [route.path for route in ROUTES] + ["/new"]])
def test_a_route_that_is_not_described_fails_at_the_start(paths):
    with pytest.raises(ValueError, match="differ"):
        document(paths, "1")


def test_every_failure_of_chat_is_described(openapi):
    described = openapi["paths"]["/v1/chat/completions"]["post"]["responses"]
    for reason, row in TABLE.items():
        if reason in ("UNKNOWN_URL", "METHOD_NOT_SUPPORTED"):
            continue
        assert not row.code or row.code in described[str(row.http_status)]["description"]


LONG = "x" * 257
SPEC = {"role": "user", "content": "x"}
CALL = {"function": {"name": "f", "arguments": "{}"}}


def turn(**fields):
    return {"messages": [{**SPEC, **fields}]}


FITTING = {
    "the least": {},
    "nulls": {"stream": None, "n": None, "tools": None, "stop": None, "logprobs": None},
    "numbers at their least": {"temperature": 0, "top_p": 0, "presence_penalty": -2, "seed": -5},
    "numbers at their most": {"temperature": 2, "top_p": 1, "frequency_penalty": 2, "n": 1},
    "words": {"reasoning_effort": "low", "service_tier": "auto", "verbosity": "high"},
    "stops": {"stop": ["a", "b", "c", "d"]},
    "a stop": {"stop": "a"},
    "usage of a stream": {"stream": True, "stream_options": {"include_usage": True}},
    "search": {"web_search_options": {"search_context_size": "low"}},
    "text": {"response_format": {"type": "text"}, "modalities": ["text"]},
    "no tools": {"tools": [], "functions": [], "tool_choice": "none", "function_call": "none"},
    "unknown fields": {"x": {"y": [1]}},
    "metadata": {"metadata": {"k" * 64: "v" * 512}, "logit_bias": {"1": -100}},
    "parts": turn(content=[{"type": "text", "text": "x"}]),
    "an assistant without a content": turn(role="assistant", content=None),
    "a refusal": turn(role="assistant", content=[{"type": "refusal", "refusal": "no"}]),
    "a call": turn(role="assistant", tool_calls=[CALL, {"custom": {"name": "c"}}]),
    "an old call": turn(role="assistant", function_call={"name": "f"}),
    "a result": turn(role="tool", tool_call_id="1"),
    "an old result": turn(role="function", name="f", content=None),
    "a name": turn(name="x" * 256),
    "calls of a user, which are not read": turn(tool_calls=[{}], function_call={}),
    "an id of a user, which is not read": turn(tool_call_id=LONG),
}

UNFIT = {
    "no model": {"model": None},
    "an empty model": {"model": ""},
    "a long model": {"model": LONG},
    "no messages": {"messages": []},
    "messages of another type": {"messages": "x"},
    "a high temperature": {"temperature": 2.1},
    "a temperature of another type": {"temperature": "1"},
    "no tokens": {"max_tokens": 0},
    "a penalty too low": {"presence_penalty": -2.1},
    "an unknown word": {"verbosity": "loud"},
    "five stops": {"stop": ["a", "b", "c", "d", "e"]},
    "an empty stop": {"stop": ""},
    "a long stop": {"stop": LONG},
    "two answers": {"n": 2},
    "tools": {"tools": [{}]},
    "functions": {"functions": [{}]},
    "a choice of tools": {"tool_choice": "auto"},
    "a choice of a function": {"function_call": {"name": "f"}},
    "probabilities": {"logprobs": True},
    "best probabilities": {"top_logprobs": 1},
    "audio": {"audio": {}},
    "another modality": {"modalities": ["audio"]},
    "JSON": {"response_format": {"type": "json_object"}},
    "a format without a type": {"response_format": {}},
    "options of no stream": {"stream_options": {}},
    "a large search": {"web_search_options": {"search_context_size": "huge"}},
    "a long value": {"metadata": {"k": "v" * 513}},
    "a long key": {"metadata": {"k" * 65: "v"}},
    "a high bias": {"logit_bias": {"1": 101}},
    "a long identifier": {"safety_identifier": "x" * 65},
    "no role": turn(role=None),
    "an unknown role": turn(role="boss"),
    "no content": turn(content=None),
    "an image": turn(content=[{"type": "image_url", "image_url": {"url": "x"}}]),
    "a part without its text": turn(content=[{"type": "text"}]),
    "a refusal of a user": turn(content=[{"type": "refusal", "refusal": "no"}]),
    "a call of nothing": turn(role="assistant", tool_calls=[{}]),
    "a call without a name": turn(role="assistant", tool_calls=[{"function": {}}]),
    "a result of nothing": turn(role="tool"),
    "an old result without a name": turn(role="function"),
    "a long name": turn(name=LONG),
    "an old call of a user of another type": turn(function_call=[]),
    "calls of a user of another type": turn(tool_calls=[1]),
    "a refusal in a text of another type": turn(
        content=[{"type": "text", "text": "x", "refusal": 1}]
    ),
}


def is_accepted(body):
    try:
        decode_chat_request(json.dumps(body).encode())
    except ServiceError:
        return False
    return True


@pytest.mark.parametrize("fields", FITTING.values(), ids=FITTING)
def test_what_fits_the_schema_is_accepted(body_schema, fields):
    body = {**BODY, **fields}
    assert [error.message for error in body_schema.iter_errors(body)] == []
    assert is_accepted(body)


@pytest.mark.parametrize("fields", UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_is_refused(body_schema, fields):
    body = {**BODY, **fields}
    assert not body_schema.is_valid(body)
    assert not is_accepted(body)


@pytest.mark.anyio
async def test_answers_are_the_objects_that_are_described(door):
    whole = await door.chat()
    msgspec.json.decode(whole.content, type=objects.ChatCompletion)
    refused = await door.chat(n=2)
    msgspec.json.decode(refused.content, type=objects.ErrorAnswer)


@pytest.mark.anyio
@pytest.mark.parametrize("usage", [True, False])
async def test_chunks_are_the_objects_that_are_described(door, usage):
    answer = await door.chat(stream=True, stream_options={"include_usage": usage})
    *chunks, done = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert done == "[DONE]"
    assert len(chunks) > 2
    for chunk in chunks:
        msgspec.json.decode(chunk, type=objects.ChatCompletionChunk)
