from __future__ import annotations

import asyncio
import json

import pytest

from service.errors import HTTP_ONLY, TABLE, Reason, ServiceError
from service.openai_http.chat import ChatCompletions
from service.openai_http.disconnect import ClientDisconnected
from service.openai_http.exchange import Exchange
from service.openai_http.writer import Silence
from service.stages import Stages
from tests.contract.scripted import MODEL, completed, delta
from tests.unit.openai_http.conftest import BODY, HEADERS, open_door, opened

pytestmark = pytest.mark.anyio

SOON = 5


async def test_a_whole_answer(door, port):
    response = await door.chat()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["choices"][0]["message"]["content"] == "Hi there"
    [request] = port.requests
    assert request.spec.model == MODEL
    assert request.spec.messages[0].parts[0].text == "Hello"


async def test_a_streamed_answer(door):
    response = await door.chat(stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    chunks, text = chunks_of(response)
    assert text == "Hi there"
    assert response.text.endswith("data: [DONE]\n\n")
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-1"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 3 + ["stop"]
    assert all("usage" not in chunk for chunk in chunks)


async def test_usage_is_the_last_chunk_when_asked_for(door):
    response = await door.chat(stream=True, stream_options={"include_usage": True})
    *chunks, last = chunks_of(response)[0]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 5)


def chunks_of(response):
    events = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(event) for event in events]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    return chunks, "".join(choice["delta"].get("content", "") for choice in choices)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_had_no_effect_is_named_in_a_header(door, port, stream):
    port.response.ignored_parameters[:] = ["top_p", "temperature"]
    port.events[0] = opened(ignored=["top_p", "temperature"])
    response = await door.chat(stream=stream, temperature=0.5, top_p=0.1, user="u", store=True)
    assert response.headers["x-onemin-ignored-params"] == "store,temperature,top_p,user"


async def test_without_ignored_parameters_there_is_no_header(door):
    response = await door.chat(user=None, n=1)
    assert "x-onemin-ignored-params" not in response.headers
    assert "x-onemin-model-substituted" not in response.headers


async def test_the_header_of_ignored_parameters_is_bounded_and_safe(door, port):
    names = ["a\r\nx: y", *(f"parameter_{number:04}" for number in range(500))]
    port.response.ignored_parameters[:] = names
    value = (await door.chat()).headers["x-onemin-ignored-params"]
    assert value.startswith("parameter_0000,parameter_0001")
    assert len(value) <= 1000


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_substitute_answers_under_its_own_name(door, port, stream):
    port.response.model = "gpt-5"
    port.events[0] = opened(model="gpt-5")
    response = await door.chat(stream=stream, model="gpt-4:online")
    assert response.headers["x-onemin-model-substituted"] == "gpt-4"
    assert '"model":"gpt-5"' in response.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_online_suffix_stays_in_the_answer(door, port, stream):
    response = await door.chat(stream=stream, model=f"{MODEL}:online")
    assert f'"model":"{MODEL}:online"' in response.text
    assert "x-onemin-model-substituted" not in response.headers
    [request] = port.requests
    assert request.spec.model == MODEL
    assert request.spec.HasField("web_search")


async def test_a_model_that_is_no_header_value_is_not_put_into_one(door, port):
    port.response.model = "gpt-5"
    response = await door.chat(model="gpt\r\n4 ☃")
    assert response.status_code == 200
    assert "x-onemin-model-substituted" not in response.headers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("reason", sorted(set(Reason) - HTTP_ONLY))
async def test_every_failure_before_the_head_is_a_true_status(door, port, reason, stream):
    port.failure = ServiceError(reason, "It went wrong.")
    port.events = [port.failure]
    response = await door.chat(stream=stream)
    row = TABLE[reason]
    assert response.status_code == row.http_status
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"] == {
        "message": "It went wrong.",
        "type": row.type,
        "param": None,
        "code": row.code,
    }


@pytest.mark.parametrize("reason", sorted(set(Reason) - HTTP_ONLY))
async def test_every_failure_midway_is_one_event_and_the_end(door, port, reason):
    port.events = [opened(), delta("Hal"), ServiceError(reason, "It went wrong.")]
    response = await door.chat(stream=True)
    assert response.status_code == 200
    chunks, text = chunks_of(response)
    assert text == "Hal"
    assert chunks[-1]["error"]["code"] == TABLE[reason].code
    assert all(not chunk.get("choices", [{}])[0].get("finish_reason") for chunk in chunks)
    assert "[DONE]" not in response.text


BUGS = {
    "whole": (False, None),
    "before the head": (True, [RuntimeError("secret")]),
    "no events": (True, []),
    "no started": (True, [delta("x")]),
}


@pytest.mark.parametrize(("stream", "events"), BUGS.values(), ids=BUGS)
async def test_a_bug_tells_nothing(door, port, stream, events):
    port.failure = RuntimeError("secret")
    port.events = events
    response = await door.chat(stream=stream)
    assert response.status_code == 500
    assert response.headers["x-should-retry"] == "false"
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, None)
    assert error["message"].startswith("The server had an error")


@pytest.mark.parametrize("last", [[], [RuntimeError("secret")]], ids=["no end", "bug"])
async def test_a_bug_midway_is_an_error_event(door, port, last):
    port.events = [opened(), delta("Hal"), *last]
    response = await door.chat(stream=True)
    chunks, text = chunks_of(response)
    assert text == "Hal"
    assert chunks[-1]["error"]["type"] == "server_error"
    assert "secret" not in response.text
    assert "[DONE]" not in response.text


async def test_the_head_is_held_until_the_provider_has_accepted(door, port):
    port.events.insert(0, port.HANG)
    answering = asyncio.create_task(door.chat(stream=True))
    await port.entered.wait()
    await asyncio.sleep(0.05)
    assert not answering.done()
    port.released.set()
    assert (await answering).status_code == 200


async def test_deltas_are_sent_when_they_come(door, port):
    port.events.insert(2, port.HANG)
    async with door.client.stream(
        "POST", "/v1/chat/completions", json={**BODY, "stream": True}, headers=HEADERS
    ) as response:
        received = ""
        async with asyncio.timeout(SOON):
            async for text in response.aiter_text():
                received += text
                if '"Hi"' in received:
                    port.released.set()
    assert received.endswith("data: [DONE]\n\n")


async def test_a_silent_stream_carries_comments(port):
    port.events.insert(2, port.HANG)
    async with (
        open_door(port, keepalive_interval=0.02) as door,
        door.client.stream(
            "POST", "/v1/chat/completions", json={**BODY, "stream": True}, headers=HEADERS
        ) as response,
    ):
        received = ""
        async with asyncio.timeout(SOON):
            async for text in response.aiter_text():
                received += text
                if received.count(": keep-alive\n\n") == 3:
                    port.released.set()
    assert received.endswith("data: [DONE]\n\n")
    assert all(
        event.startswith(("data: ", ": keep-alive")) for event in received.split("\n\n")[:-1]
    )


LEAVING = {
    "whole": (False, None),
    "stream before the head": (True, 0),
    "stream after the role": (True, 1),
    "stream midway": (True, 2),
}


@pytest.mark.parametrize(("stream", "position"), LEAVING.values(), ids=LEAVING)
async def test_a_client_that_leaves_ends_the_call(door, port, stream, position):
    port.failure = port.HANG
    if stream:
        port.events.insert(position, port.HANG)
    reader, writer = await door.connect()
    body = json.dumps({**BODY, "stream": stream}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    async with asyncio.timeout(SOON):
        await port.entered.wait()
        if position:
            await reader.readuntil(b'"role":"assistant"')
        assert not port.ended.is_set()
        writer.close()
        await port.ended.wait()
    assert not port.released.is_set()


async def test_a_client_that_leaves_an_endless_stream_ends_it(door, port):
    closed = asyncio.Event()

    async def endless(*_):
        try:
            yield [opened()]
            while True:
                yield [delta("x" * 100)]
        finally:
            closed.set()

    port.stream_chat_completion = endless
    reader, writer = await door.connect()
    body = json.dumps({**BODY, "stream": True}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    async with asyncio.timeout(SOON):
        await reader.readuntil(b"xxxx")
        assert (await door.client.get("/health")).status_code == 200
        writer.close()
        await closed.wait()


async def test_a_generator_is_closed_in_the_task_that_ran_it(door, port):
    tasks = []

    async def stream(*_):
        tasks.append(asyncio.current_task())
        try:
            yield [opened()]
            raise ServiceError(Reason.UPSTREAM_TRUNCATED, "cut")
        finally:
            tasks.append(asyncio.current_task())

    port.stream_chat_completion = stream
    await door.chat(stream=True)
    first, last = tasks
    assert first is last


async def test_events_of_a_kind_yet_unknown_are_skipped(door, port):
    port.events = [opened(), type(opened())(), delta("Hi"), completed()]
    _, text = chunks_of(await door.chat(stream=True))
    assert text == "Hi"


async def test_one_read_of_many_deltas_is_few_writes(door, port):
    port.events = [[opened(), *[delta("x")] * 40], completed()]
    async with door.client.stream(
        "POST", "/v1/chat/completions", json={**BODY, "stream": True}, headers=HEADERS
    ) as response:
        writes = [chunk async for chunk in response.aiter_raw()]
    assert len(writes) <= 2


ORDER = {
    "no key beats a wrong type": ({"authorization": ""}, "text/plain", b"{", 401),
    "a wrong type beats broken json": ({}, "text/plain", b"{", 415),
    "broken json": ({}, "application/json", b"{", 400),
}


@pytest.mark.parametrize(("headers", "content_type", "body", "status"), ORDER.values(), ids=ORDER)
async def test_the_first_fault_is_told(door, headers, content_type, body, status):
    response = await door.raw_chat(body, {"content-type": content_type, **headers})
    assert response.status_code == status
    assert sum(door.refused().values()) == 1
    assert not door.port.requests


async def test_a_field_at_fault_is_named(door):
    response = await door.chat(messages=[{"role": "user", "content": 5}])
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("messages[0].content", "invalid_type")
    assert door.refused() == {"INVALID_FIELD": 1}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_client_that_has_left_as_its_request_came_is_still_counted(port, stream):
    """The port refuses at once: a cancellation must not come before it."""
    port.failure = ServiceError(Reason.OVERLOADED, "Busy.")
    port.events = [port.failure]
    request = {"type": "http.request", "body": json.dumps({**BODY, "stream": stream}).encode()}
    messages = iter([request])

    async def receive():
        return next(messages, {"type": "http.disconnect"})

    async def send(_message):
        raise AssertionError("there is nobody to answer")

    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer key")]
    scope = {"type": "http", "headers": headers}
    Exchange("the-id").attach(scope)
    chat = ChatCompletions(port, max_body_bytes=10_000, silence=Silence(60), stages=Stages())
    with pytest.raises((ServiceError, ClientDisconnected)):
        await chat(scope, receive, send)
    assert len(port.calls) == 1
