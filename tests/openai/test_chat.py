from __future__ import annotations

import asyncio

import openai
import pytest

from tests.conftest import KEY
from tests.openai.conftest import MODEL, ask

pytestmark = pytest.mark.anyio

SOON = 5


async def test_a_whole_answer(client):
    answer = await client.chat.completions.create(**ask("repeat: Hi there"))
    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Hi there", "stop")
    assert (choice.message.role, choice.message.refusal) == ("assistant", None)
    assert answer.model == MODEL
    assert answer.id.startswith("chatcmpl-")
    assert answer._request_id.startswith("req_")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0
    assert usage.model_extra["estimated"] is False


async def test_a_streamed_answer(client):
    stream = await client.chat.completions.create(**ask("repeat: Hi there", stream=True))
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hi there"
    assert [chunk.choices[0].delta.role for chunk in chunks].count("assistant") == 1
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


async def test_usage_of_a_stream(client):
    stream = await client.chat.completions.create(
        **ask("hello", stream=True, stream_options={"include_usage": True})
    )
    *chunks, last = [chunk async for chunk in stream]
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage.total_tokens > 0


async def test_the_helper_that_accumulates_a_stream(client):
    async with client.chat.completions.stream(**ask("repeat: one two three")) as stream:
        kinds = [event.type async for event in stream]
        answer = await stream.get_final_completion()
    assert kinds.count("content.done") == 1
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].message.role == "assistant"


async def test_a_blocking_client(gateway):
    def call():
        with openai.OpenAI(base_url=f"{gateway.http_url}/v1", api_key=KEY) as client:
            whole = client.chat.completions.create(**ask("repeat: Hi"))
            chunks = list(client.chat.completions.create(**ask("repeat: Hi", stream=True)))
        return whole, chunks

    whole, chunks = await asyncio.to_thread(call)
    assert whole.choices[0].message.content == "Hi"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hi"


async def test_a_raw_answer_shows_its_headers(client):
    raw = await client.chat.completions.with_raw_response.create(
        **ask("hello", temperature=0.2, seed=3, user="ann"), extra_headers={"x-request-id": "mine"}
    )
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["x-onemin-ignored-params"] == "seed,temperature,user"
    assert raw.headers["x-request-id"] == "mine"
    assert raw.parse().choices[0].finish_reason == "stop"


async def test_a_streamed_raw_answer_shows_its_headers_first(client):
    async with client.chat.completions.with_streaming_response.create(
        **ask("hello", stream=True, top_p=0.1)
    ) as raw:
        assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert raw.headers["x-onemin-ignored-params"] == "top_p"
        lines = [line async for line in raw.iter_lines()]
    assert lines[-2:] == ["data: [DONE]", ""]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("limit", "text", "reason"),
    [
        ({"stop": "three"}, "one two ", "stop"),
        ({"stop": ["four", "two"]}, "one ", "stop"),
        ({"max_tokens": 2}, "one two", "length"),
        ({"max_completion_tokens": 3, "max_tokens": 9}, "one two three", "length"),
    ],
    ids=["stop", "earliest stop", "max_tokens", "smaller limit"],
)
async def test_limits_are_honoured(client, stream, limit, text, reason):
    answer = await client.chat.completions.create(
        **ask("repeat: one two three four", stream=stream, **limit)
    )
    if stream:
        choices = [choice async for chunk in answer for choice in chunk.choices]
        found = "".join(choice.delta.content or "" for choice in choices)
    else:
        choices = answer.choices
        found = choices[0].message.content
    assert (found, choices[-1].finish_reason) == (text, reason)


async def test_a_conversation_with_history_as_frameworks_send_it(client):
    first = await client.chat.completions.create(**ask("repeat: Hi"))
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = await client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
            first.choices[0].message.model_dump(),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
            {"role": "user", "content": "and now?", "name": "ann"},
        ],
    )
    assert answer.choices[0].message.content


@pytest.mark.parametrize("search", [{"model": f"{MODEL}:online"}, {"web_search_options": {}}])
async def test_web_search(client, gateway, search):
    answer = await client.chat.completions.create(**(ask("repeat: news") | search))
    assert answer.choices[0].message.content == "news"
    assert answer.model == search.get("model", MODEL)
    sent = gateway.simulator.seen[-1].body
    assert "webSearch" in str(sent)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_client_that_gives_up_ends_the_call_at_the_provider(client, gateway, stream):
    simulator = gateway.simulator
    before = len(simulator.seen)
    asked = ask("count to 50 [[fault:slow:1]]", stream=stream)
    asking = asyncio.create_task(client.chat.completions.create(**asked))
    async with asyncio.timeout(SOON):
        await simulator.until(lambda: len(simulator.seen) > before)
        asking.cancel()
        await simulator.until(lambda: simulator.seen[-1].state == "aborted")


async def test_a_client_that_closes_a_stream_ends_the_call_at_the_provider(client, gateway):
    simulator = gateway.simulator
    stream = await client.chat.completions.create(
        **ask("count to 50 [[fault:slow:0.2]]", stream=True)
    )
    async with asyncio.timeout(SOON):
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
        await simulator.until(lambda: simulator.seen[-1].state == "aborted")
