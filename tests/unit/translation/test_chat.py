from __future__ import annotations

import pytest

from onemin.inference.v1 import chat_pb2
from service.translation import chat
from service.translation.turns import Turn
from service.upstream.errors import UpstreamEmpty
from service.upstream.payloads import ChatRecord, RecordUsage, WebSearch

STOP = chat_pb2.FINISH_REASON_STOP
LENGTH = chat_pb2.FINISH_REASON_LENGTH
FILTERED = chat_pb2.FINISH_REASON_CONTENT_FILTER


def spec(**fields):
    message = chat_pb2.ChatMessage(
        role=chat_pb2.CHAT_ROLE_USER, parts=[chat_pb2.ContentPart(text="Hi")]
    )
    return chat_pb2.ChatCompletionSpec(model="alias", messages=[message], **fields)


SEARCHES = {
    "not asked for": ({}, None),
    "the provider's bounds": ({"web_search": chat_pb2.WebSearchConfig()}, WebSearch()),
    "own bounds": (
        {"web_search": chat_pb2.WebSearchConfig(max_sites=2, max_words=500)},
        WebSearch(max_sites=2, max_words=500),
    ),
}


@pytest.mark.parametrize(("fields", "search"), SEARCHES.values(), ids=SEARCHES)
def test_a_conversation_becomes_one_prompt(fields, search):
    turns = [Turn(chat_pb2.CHAT_ROLE_USER, None, ["Hi"])]
    payload = chat.to_payload(spec(**fields), turns, model="upstream-id", boundary="b0")

    assert (payload.model, payload.prompt, payload.web_search) == ("upstream-id", "Hi", search)
    assert "Hi" not in repr(payload)


IGNORED = {
    "nothing set": ({}, []),
    "neutral values": (
        {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0},
        [],
    ),
    "zero is a value": (
        {"temperature": 0, "top_p": 0, "seed": 0},
        ["seed", "temperature", "top_p"],
    ),
    "all": (
        {"temperature": 2, "top_p": 0.5, "seed": 7, "frequency_penalty": 1, "presence_penalty": 1},
        ["frequency_penalty", "presence_penalty", "seed", "temperature", "top_p"],
    ),
    "what is honoured": ({"max_completion_tokens": 5, "stop_sequences": ["x"]}, []),
}


@pytest.mark.parametrize(("fields", "names"), IGNORED.values(), ids=IGNORED)
def test_what_cannot_be_honoured_is_named(fields, names):
    assert chat.ignored_parameters(chat_pb2.SamplingConfig(**fields)) == names


FINISHES = {
    "stop": STOP,
    "complete": STOP,
    "end_turn": STOP,
    "tool_use": STOP,
    "a word of tomorrow": STOP,
    None: STOP,
    "length": LENGTH,
    "max_tokens": LENGTH,
    "safety": FILTERED,
    "content_filter": FILTERED,
    "recitation": FILTERED,
}


@pytest.mark.parametrize(("word", "reason"), FINISHES.items())
def test_the_vendors_words_for_an_ending(word, reason):
    assert chat.finish_reason(ChatRecord("text", finish_reason=word)) == reason


def test_without_a_record_the_model_had_finished():
    assert chat.finish_reason(None) == STOP


WHOLE = {
    "text": (ChatRecord("Hi"), False, "Hi"),
    "progress lines, searched": (ChatRecord("🌐 Crawling site a\nHi"), True, "Hi"),
    "progress lines, not searched": (ChatRecord("🌐 Crawling site a"), False, "🌐 Crawling site a"),
    "filtered and empty": (ChatRecord("", finish_reason="safety"), False, ""),
    "all thought and empty": (ChatRecord(None, finish_reason="length"), False, ""),
}


@pytest.mark.parametrize(("record", "web_search", "text"), WHOLE.values(), ids=WHOLE)
def test_the_text_of_a_whole_answer(record, web_search, text):
    assert chat.whole_text(record, web_search=web_search) == text


@pytest.mark.parametrize(
    ("record", "web_search"),
    [
        (ChatRecord(None), False),
        (ChatRecord(""), False),
        (ChatRecord("", finish_reason="stop"), False),
        (ChatRecord("🌐 Crawling site a\n"), True),
    ],
    ids=["none", "empty", "empty and finished", "only progress lines"],
)
def test_an_answer_without_a_text_is_no_answer(record, web_search):
    with pytest.raises(UpstreamEmpty):
        chat.whole_text(record, web_search=web_search)


def test_usage_is_the_providers_own():
    usage = chat.to_usage(RecordUsage(12, 6, 1.5))

    assert usage == chat_pb2.TokenUsage(prompt_tokens=12, completion_tokens=6, credits=1.5)
    assert not chat.to_usage(RecordUsage(12, 6)).HasField("credits")
