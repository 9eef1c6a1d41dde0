"""What is counted of calls that their caller leaves, and what a call keeps while it waits."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import aclosing

import pytest
from msgspec import structs

from onemin.inference.v1 import inference_service_pb2 as pb
from service.inference.answer import SLICE, Answer
from service.stages import Stage
from service.translation.chat import to_payload
from service.translation.turns import Turn
from service.upstream.payloads import ChatPayload
from tests.unit.inference.asking import CALL, spec, whole

pytestmark = pytest.mark.anyio


async def test_tokens_of_a_stream_that_the_caller_left_are_counted(service, metrics):
    request = pb.StreamChatCompletionRequest(spec=spec("Hello [[fault:endless]]"))
    async with aclosing(service.stream_chat_completion(request, CALL)) as events:
        for _ in range(4):
            await anext(events)

    labels = {"model": "gpt-4o", "kind": "completion"}
    assert metrics.registry.get_sample_value("onemin_tokens_total", labels) > 0


async def _until_counted(metrics, words):
    value = metrics.registry.get_sample_value
    labels = [{"model": "gpt-4o", "kind": kind} for kind in ("prompt", "completion")]
    async with asyncio.timeout(5):
        while None in (counts := [value("onemin_tokens_total", each) for each in labels]):  # noqa: ASYNC110  # metrics have no event
            await asyncio.sleep(0.01)
    prompt, completion = counts
    assert prompt > words
    assert completion > 0


COUNTED = pytest.mark.parametrize(
    "words", [1, 20_000], ids=["counted at once", "counted in a thread"]
)


@COUNTED
async def test_tokens_of_an_answer_whose_caller_is_cancelled_twice_as_it_came_are_counted(
    service, metrics, stages, words
):
    async def cancelled_here():
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        task.cancel()
        loop.call_soon(loop.call_soon, task.cancel)  # when the first is on its way
        await asyncio.sleep(0)

    stages.at[Stage.ANSWERED] = cancelled_here
    task = asyncio.create_task(
        whole(service, spec(f"{'word ' * words} repeat: one two [[fault:no-usage]]"))
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until_counted(metrics, words)


async def test_tokens_of_a_long_answer_whose_caller_leaves_while_it_is_taken_in_are_counted(
    service, metrics, monkeypatch
):
    whole_feed = Answer.feed

    def feed(self, text):
        asyncio.current_task().cancel()  # the next pause is between two slices
        return whole_feed(self, text)

    monkeypatch.setattr(Answer, "feed", feed)
    prompt = f"repeat: {'word ' * SLICE} [[fault:no-usage]]"
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(whole(service, spec(prompt)))
    await _until_counted(metrics, SLICE)


@COUNTED
async def test_tokens_of_a_stream_whose_caller_is_cancelled_twice_are_counted(
    service, metrics, words
):
    request = pb.StreamChatCompletionRequest(spec=spec(f"{'word ' * words}[[fault:endless]]"))
    begun = asyncio.Event()

    async def read():
        async with aclosing(service.stream_chat_completion(request, CALL)) as events:
            async for read in events:
                if any(event.HasField("delta") for event in read):
                    begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)  # the first is on its way
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until_counted(metrics, words)


@pytest.mark.parametrize(("words", "kept"), [(1, True), (20_000, False)], ids=["short", "long"])
async def test_a_call_that_waits_keeps_the_texts_of_short_conversations_alone(
    service, stages, words, kept
):
    prompt = f"{'keep ' * words} repeat: one"
    seen = []

    async def look():
        turns = [each for each in gc.get_objects() if isinstance(each, Turn)]
        seen.append(any(prompt in turn.texts for turn in turns))

    stages.at[Stage.PROMPTED] = look
    await whole(service, spec(prompt))
    assert seen == [kept]


async def test_a_stream_that_waits_keeps_nothing_of_what_it_asked(service, monkeypatch):
    class Watched(ChatPayload, weakref=True):
        """A payload that a weak reference can watch."""

    asked = []

    def watched(*arguments, **options):
        payload = Watched(**structs.asdict(to_payload(*arguments, **options)))
        asked.append(weakref.ref(payload))
        return payload

    monkeypatch.setattr("service.inference.service.to_payload", watched)
    request = pb.StreamChatCompletionRequest(spec=spec("Hello [[fault:endless]]"))
    async with aclosing(service.stream_chat_completion(request, CALL)) as reads:
        await anext(reads)
        assert [payload() for payload in asked] == [None]
