"""One answer: where it is cut, and whose figures its usage is."""

from __future__ import annotations

import asyncio

import pytest

from onemin.inference.v1 import chat_pb2
from service.inference.answer import SLICE, Answer
from service.inference.tokens import TokenCounter
from service.upstream.payloads import ChatRecord, RecordUsage

pytestmark = pytest.mark.anyio

STOP = chat_pb2.FINISH_REASON_STOP
LENGTH = chat_pb2.FINISH_REASON_LENGTH


@pytest.fixture(scope="module")
def tokens():
    return TokenCounter()


@pytest.fixture
def answer(tokens):
    def make(**sampling):
        user = chat_pb2.ChatMessage(
            role=chat_pb2.CHAT_ROLE_USER, parts=[chat_pb2.ContentPart(text="hello")]
        )
        spec = chat_pb2.ChatCompletionSpec(
            messages=[user], sampling=chat_pb2.SamplingConfig(**sampling)
        )
        return Answer(spec, tokens, model="gpt-4o", owner="openai")

    return make


WORDS = "word " * SLICE  # five slices


@pytest.mark.parametrize("before", [0, 10, SLICE - 2, SLICE, SLICE + 1, 3 * SLICE - 1, 5 * SLICE])
async def test_a_stop_sequence_ends_a_whole_answer_wherever_it_stands(answer, before):
    cut = answer(stop_sequences=["<end>"])
    text = await cut.feed_whole(WORDS[:before] + "<end>" + WORDS + "<end>")
    assert (text, cut.finish_reason, cut.is_cut) == (WORDS[:before], STOP, True)
    assert cut.text == text


async def test_nothing_follows_a_cut(answer):
    cut = answer(stop_sequences=["STOP"])
    assert cut.feed("one STOP two") == "one "
    assert (cut.feed("three"), cut.close(), cut.text) == ("", "", "one ")


@pytest.mark.parametrize("words", [1, SLICE // 5 + 1, SLICE - 1])
async def test_a_limit_of_tokens_ends_a_whole_answer(answer, words):
    cut = answer(max_completion_tokens=words)
    await cut.prepare()
    text = await cut.feed_whole(WORDS)
    assert (text.count("word"), cut.finish_reason) == (words, LENGTH)


@pytest.mark.parametrize("size", [0, 1, SLICE, SLICE + 1, len(WORDS)])
async def test_an_answer_without_limits_passes_whole(answer, size):
    uncut = answer()
    assert await uncut.feed_whole(WORDS[:size]) == WORDS[:size]
    assert not uncut.is_cut


async def test_what_may_begin_a_stop_sequence_is_part_of_an_answer_that_ends_so(answer):
    assert await answer(stop_sequences=["<end>"]).feed_whole("so <en") == "so <en"


async def test_a_long_answer_gives_others_a_turn_between_slices(answer):
    turns = []

    async def other():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await answer().feed_whole(WORDS)
    task.cancel()
    assert len(turns) == len(WORDS) // SLICE - 1


KNOWN = RecordUsage(prompt_tokens=7, completion_tokens=8, credits=9)


async def test_the_providers_figures_are_the_usage_of_a_whole_answer(answer):
    known = answer()
    known.feed("one two three")
    known.record = ChatRecord("one two three", usage=KNOWN)
    usage = await known.usage()
    assert (usage.prompt_tokens, usage.completion_tokens, usage.credits) == (7, 8, 9)
    assert not usage.estimated


@pytest.mark.parametrize("usage", [None, KNOWN], ids=["unknown", "known"])
async def test_a_cut_answer_is_counted_here_and_keeps_the_price(answer, usage):
    cut = answer(stop_sequences=[" three"])
    cut.feed("one two three")
    cut.record = ChatRecord("one two three", usage=usage)
    counted = await cut.usage()
    assert (counted.completion_tokens, counted.estimated) == (2, True)
    assert counted.prompt_tokens == 3 + 4 + 1  # the reply, the message, its text
    assert counted.HasField("credits") is (usage is not None)


async def test_line_ends_stay_what_they_are(answer):
    text = "a\r\nb\rc\nd\u2028"
    passing = answer()
    assert passing.feed(text) == text
    passing.close()
    assert passing.text == text
