from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from service.simulator import Simulator
from service.simulator.app import MAX_BODY
from service.simulator.traffic import MAX_KEPT_BODY
from tests.unit.simulator.raw import CHAT, STREAM, ask, chat_body, connected, request_bytes

pytestmark = pytest.mark.anyio

MODELS = "/models?feature=UNIFY_CHAT_WITH_AI"


async def test_a_whole_answer(simulator):
    answer = await ask(simulator.url, CHAT, chat_body("repeat: Grüße"))
    assert (answer.status, answer.ended) == (200, "complete")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.result == ["Grüße"]


async def test_is_streaming_false_means_a_whole_answer(simulator):
    answer = await ask(simulator.url, f"{CHAT}?isStreaming=false", chat_body("repeat: x"))
    assert answer.result == ["x"]


async def test_a_streamed_answer(simulator):
    answer = await ask(simulator.url, STREAM, chat_body("repeat: Grüße aus Köln"))
    assert (answer.status, answer.ended) == (200, "complete")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.contents == ["", "Grüße", " aus", " Köln", ""]
    assert answer.names == ["content", "result", "done"]
    assert answer.streamed_result == ["Grüße aus Köln"]
    assert len(answer.chunks) == len(answer.events)


async def test_a_web_search_shows_crawl_lines_first(simulator):
    search = {"webSearchSettings": {"webSearch": True, "numOfSite": 2}}
    answer = await ask(simulator.url, STREAM, chat_body("repeat: x", settings=search))
    assert answer.text == (
        "🌐 Crawling site https://example.org/a\n🌐 Crawling site https://example.org/b\nx"
    )
    assert answer.streamed_result[0]["type"] == "web_search"
    assert answer.streamed_result[1:] == ["x"]


UNSUPPORTED = "Model no-such-model is not supported"


@pytest.mark.parametrize(
    ("body", "key", "status", "code"),
    [
        pytest.param({}, "", 401, "UNAUTHORIZED", id="key-first"),
        pytest.param(
            {"model": "no-such-model"}, "good", 400, "UNSUPPORTED_MODEL", id="then-the-model"
        ),
        pytest.param(
            chat_body("x", model="o1-mini"), "good", 400, "UNSUPPORTED_MODEL", id="disabled-model"
        ),
        pytest.param(
            {"model": "gpt-4o"}, "good", 400, "REQUEST_BODY_VALIDATION_FAILED", id="then-the-body"
        ),
        pytest.param(
            chat_body(7), "good", 400, "PROMPT_OBJECT_VALIDATION_FAILED", id="then-the-prompt"
        ),
        pytest.param(b"{", "good", 400, "REQUEST_BODY_VALIDATION_FAILED", id="broken-json"),
        pytest.param(
            {"model": "no-such-model"},
            "sim-internal-error",
            500,
            "INTERNAL_SERVER_ERROR",
            id="a-refusal-fault-beats-the-model",
        ),
        pytest.param(
            chat_body("[[fault:typo]]"), "good", 501, "SIMULATOR_BAD_FAULT", id="unknown-fault"
        ),
        pytest.param(
            chat_body("[[fault:slow:x]]"), "good", 501, "SIMULATOR_BAD_FAULT", id="bad-argument"
        ),
    ],
)
async def test_requests_are_checked_in_the_provider_s_order(simulator, body, key, status, code):
    answer = await ask(simulator.url, CHAT, body, key=key)
    error = answer.json.get("error") or answer.json
    assert (answer.status, error.get("code") or error.get("errorCode")) == (status, code)


async def test_an_unknown_model_is_an_event_when_streaming(simulator):
    answer = await ask(simulator.url, STREAM, chat_body("x", model="no-such-model"))
    assert answer.status == 200
    assert answer.events == [("error", {"error": UNSUPPORTED})]


async def test_a_malformed_body_is_plain_json_even_when_streaming(simulator):
    answer = await ask(simulator.url, STREAM, {"model": "gpt-4o"})
    assert answer.status == 400
    details = json.loads(answer.json["details"])
    assert details == [{"field": "type", "message": "type must be UNIFY_CHAT_WITH_AI"}]


async def test_a_body_over_the_limit_is_refused(simulator):
    answer = await ask(simulator.url, CHAT, chat_body("x" * MAX_BODY))
    assert answer.status == 413


async def test_other_paths_are_not_found_but_seen(simulator):
    answer = await ask(simulator.url, "/api/features", {}, method="POST")
    assert answer.status == 404
    assert simulator.seen[-1].path == "/api/features"


@pytest.mark.parametrize(
    ("mode", "check"),
    [
        ("object", lambda answer: answer.json["total"] == len(answer.json["models"]) > 10),
        ("array", lambda answer: answer.json[0]["modelId"] == "gpt-5.4"),
        ("html", lambda answer: answer.headers["content-type"].startswith("text/html")),
    ],
)
async def test_the_models_come_in_the_form_that_was_asked_for(mode, check):
    async with Simulator(models=mode).running() as simulator:
        answer = await ask(simulator.url, MODELS, method="GET", key="")
        assert answer.status == 200
        assert check(answer)


async def test_the_models_can_hang():
    async with Simulator(models="hang").running() as simulator:
        async with connected(simulator.url) as (reader, writer):
            writer.write(request_bytes(MODELS, method="GET"))
            await simulator.until(lambda: simulator.counts()["open"] == 1)
            assert not reader._buffer
        await simulator.until(lambda: simulator.counts()["aborted"] == 1)


async def test_without_a_feature_there_are_no_models(simulator):
    answer = await ask(simulator.url, "/models", method="GET", key="")
    assert answer.json == {"models": [], "total": 0}


@pytest.mark.parametrize(
    ("key", "status"),
    [("sim-internal-error", 500), ("sim-slow-x", 501), ("sim-empty", 200), ("sim-one-chunk", 200)],
)
async def test_keys_bring_faults_to_the_models(simulator, key, status):
    answer = await ask(simulator.url, MODELS, method="GET", key=key)
    assert answer.status == status


async def test_exchanges_are_recorded(simulator):
    body = chat_body("repeat: x")
    await ask(simulator.url, STREAM, body, headers=("X-Extra: 1",))
    (exchange,) = simulator.seen
    assert (exchange.method, exchange.path) == ("POST", CHAT)
    assert dict(exchange.query) == {"isStreaming": "true"}
    assert (exchange.headers["api-key"], exchange.headers["x-extra"]) == ("good", "1")
    assert exchange.body == body
    await simulator.until(lambda: exchange.state == "finished")


async def test_huge_bodies_are_answered_but_not_kept(simulator):
    answer = await ask(simulator.url, CHAT, chat_body("x" * MAX_KEPT_BODY))
    assert answer.status == 200
    assert simulator.seen[-1].body is None


async def test_a_client_that_leaves_is_noticed(simulator):
    body = chat_body("[[fault:endless]]")
    answer = await ask(simulator.url, STREAM, body, enough=lambda answer: len(answer.chunks) > 9)
    assert answer.ended == "left"
    await simulator.until(lambda: simulator.seen[-1].state == "aborted")


async def test_connections_are_kept_and_counted(simulator):
    async with aiohttp.ClientSession(headers={"API-KEY": "good"}) as session:
        for target in (CHAT, STREAM, CHAT):
            async with session.post(f"{simulator.url}{target}", json=chat_body("hi")) as response:
                await response.read()
        async with session.get(f"{simulator.url}/_simulator/state") as response:
            counts = await response.json()
    assert counts == {
        "open": 0,
        "finished": 3,
        "aborted": 0,
        "connections": 1,
        "paths": {CHAT: 3},
    }


async def test_a_simulator_can_be_stopped_with_a_stream_open():
    async with asyncio.timeout(2):
        serving = Simulator()
        context = serving.running()
        await context.__aenter__()
        async with connected(serving.url) as (reader, writer):
            writer.write(request_bytes(STREAM, chat_body("[[fault:stall]]")))
            await reader.readuntil(b"\r\n\r\n")
            await context.__aexit__(None, None, None)
            assert serving.counts()["aborted"] == 1


async def test_a_taken_port_is_an_error(simulator):
    port = int(simulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        async with Simulator().running(port=port):
            raise AssertionError


async def test_an_ipv6_address_is_bracketed():
    async with Simulator().running(host="::1") as simulator:
        assert simulator.url.startswith("http://[::1]:")
        assert (await ask(simulator.url, "/models", method="GET")).status == 200


async def test_the_chunk_delay_paces_a_stream():
    async with Simulator(chunk_delay=0.02).running() as simulator:
        answer = await ask(simulator.url, STREAM, chat_body("count to 5"))
        assert answer.took >= 0.02 * (len(answer.chunks) - 1)
