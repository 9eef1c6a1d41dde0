from __future__ import annotations

from service.simulator.chat_request import read_chat
from service.simulator.records import chat_record, retell
from tests.unit.simulator.raw import chat_body


def record_of(prompt, text, *, crawled=(), **more):
    request = read_chat(chat_body(prompt, **more))
    record = chat_record(request, text, uuid="u", created_at="t", crawled=list(crawled))
    return record["aiRecord"]


def test_a_record_has_the_provider_s_keys():
    record = record_of("one two three", "four five", conversationId="c")
    assert set(record) == {
        "uuid",
        "userId",
        "teamId",
        "teamUser",
        "model",
        "type",
        "metadata",
        "rating",
        "feedback",
        "conversationId",
        "status",
        "createdAt",
        "aiRecordDetail",
        "additionalData",
        "modelDetail",
    }
    assert (record["uuid"], record["createdAt"]) == ("u", "t")
    assert (record["status"], record["conversationId"]) == ("SUCCESS", "c")
    assert record["modelDetail"] == {"name": "gpt-4o-mini", "provider": "OPENAI"}
    assert record["aiRecordDetail"] == {
        "promptObject": {
            "prompt": "one two three",
            "conversationId": "c",
            "linkContentList": [],
            "searchContentList": [],
        },
        "resultObject": ["four five"],
        "responseObject": {},
    }


def test_usage_counts_words():
    assert record_of("one two three", "four five")["metadata"] == {
        "inputToken": 3,
        "outputToken": 2,
        "promptToken": 3,
        "totalToken": 5,
        "inputCredit": 2,
        "outputCredit": 2,
        "credit": 4,
        "executionTime": 0.22,
        "finishReason": "stop",
    }


def test_a_web_search_fills_the_lists_and_costs_input():
    record = record_of(
        "one two", "three", crawled=["https://example.org/a", "https://example.org/b"]
    )
    pages = record["aiRecordDetail"]["promptObject"]["searchContentList"]
    search, text = record["aiRecordDetail"]["resultObject"]
    assert [page["link"] for page in pages] == ["https://example.org/a", "https://example.org/b"]
    assert search["type"] == "web_search"
    assert [found["link"] for found in search["searchResults"]] == [page["link"] for page in pages]
    assert text == "three"
    words = sum(len(page["content"].split()) for page in pages)
    assert record["metadata"]["inputToken"] == 2 + words
    assert record["metadata"]["promptToken"] == 2


def test_telling_another_text_counts_again():
    record = record_of("one two", "three", crawled=["https://example.org/a"])
    before = record["metadata"]["inputToken"]
    retell(record, "a b c d")
    search, text = record["aiRecordDetail"]["resultObject"]
    assert (search["type"], text) == ("web_search", "a b c d")
    assert record["metadata"]["outputToken"] == record["metadata"]["outputCredit"] == 4
    assert record["metadata"]["totalToken"] == before + 4
    assert record["metadata"]["credit"] == record["metadata"]["inputCredit"] + 4
