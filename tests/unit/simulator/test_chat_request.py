from __future__ import annotations

import pytest

from service.simulator.chat_request import (
    MAX_SITES,
    BodyRefused,
    read_chat,
    read_document,
    read_prompt,
)
from tests.unit.simulator.raw import chat_body


def searching(**settings):
    return chat_body("x", settings={"webSearchSettings": settings})


@pytest.mark.parametrize(
    ("document", "sites"),
    [
        pytest.param(chat_body("x"), 0, id="no-settings"),
        pytest.param(searching(webSearch=False, numOfSite=4), 0, id="off"),
        pytest.param(searching(webSearch=True), 3, id="default"),
        pytest.param(searching(webSearch=True, numOfSite=5), 5, id="given"),
        pytest.param(searching(webSearch=True, numOfSite=1_000), MAX_SITES, id="bounded"),
    ],
)
def test_the_number_of_sites_to_search(document, sites):
    assert read_chat(document).sites == sites


def test_what_a_request_holds():
    attachments = {"images": ["images/a.png"], "files": []}
    document = chat_body("hi", model="sonar", attachments=attachments)
    request = read_chat(document)
    assert (request.model, request.type, request.prompt) == ("sonar", "UNIFY_CHAT_WITH_AI", "hi")
    assert request.prompt_object == {"prompt": "hi", "attachments": attachments}


BODY, PROMPT = False, True


@pytest.mark.parametrize(
    ("document", "field", "in_prompt_object"),
    [
        pytest.param(None, "model", BODY, id="not-json"),
        pytest.param([], "model", BODY, id="array"),
        pytest.param({"model": 7}, "model", BODY, id="model-a-number"),
        pytest.param({"model": "m"}, "type", BODY, id="no-type"),
        pytest.param(chat_body("x") | {"type": ["a"]}, "type", BODY, id="type-a-list"),
        pytest.param(chat_body("x") | {"type": "NOPE"}, "type", BODY, id="type-unknown"),
        pytest.param(chat_body("x") | {"promptObject": "x"}, "promptObject", BODY, id="no-object"),
        pytest.param(chat_body(None), "prompt", PROMPT, id="no-prompt"),
        pytest.param(chat_body(7), "prompt", PROMPT, id="prompt-a-number"),
        pytest.param(chat_body(""), "prompt", PROMPT, id="prompt-empty"),
        pytest.param(searching(webSearch="yes"), "webSearch", PROMPT, id="search-a-word"),
        pytest.param(searching(webSearch=True, numOfSite=0), "numOfSite", PROMPT, id="no-sites"),
        pytest.param(searching(webSearch=True, numOfSite=True), "numOfSite", PROMPT, id="bool"),
        pytest.param(
            chat_body("x", attachments={"images": "a"}), "images", PROMPT, id="images-a-word"
        ),
        pytest.param(
            chat_body("x", attachments={"files": [1]}), "files", PROMPT, id="files-numbers"
        ),
    ],
)
def test_malformed_bodies_are_refused_by_field(document, field, in_prompt_object):
    with pytest.raises(BodyRefused) as caught:
        read_chat(document)
    assert (caught.value.field, caught.value.in_prompt_object) == (field, in_prompt_object)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "broken", "not-utf-8", "deep"],
)
def test_what_is_not_json_is_no_document(body):
    assert read_document(body) is None


@pytest.mark.parametrize("document", [None, [], {"promptObject": []}, {"promptObject": {}}])
def test_a_malformed_body_has_an_empty_prompt(document):
    assert read_prompt(document) == ""
