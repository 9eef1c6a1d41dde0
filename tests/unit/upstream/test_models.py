from __future__ import annotations

import json

import pytest

from service.upstream.errors import UpstreamMalformed
from service.upstream.models import MAX_ENTRIES, models_from
from service.upstream.payloads import ModelEntry


def entry(**fields):
    [model] = models_from(json.dumps([{"modelId": "m", **fields}]).encode())
    return model


def test_the_recorded_list(data):
    models = {model.id: model for model in models_from((data / "models/chat.json").read_bytes())}
    assert models["gpt-5"] == ModelEntry(
        id="gpt-5",
        title="GPT-5 - OpenAI",
        owner="openai",
        active=True,
        vision=True,
        code=True,
        context_tokens=400_000,
    )
    assert models["gpt-4o-mini"].output_tokens == 16_384
    assert not all(model.active for model in models.values())


def test_a_bare_array_is_a_list_too(data):
    models = models_from((data / "models/bare_array.json").read_bytes())
    assert [model.id for model in models] == ["gpt-5", "gpt-4o-mini"]


def test_an_empty_list_is_a_list(data):
    assert models_from((data / "models/empty.json").read_bytes()) == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"5", b"{}", b'{"models": {}}', b"\xff"])
def test_no_list_is_malformed(body):
    with pytest.raises(UpstreamMalformed):
        models_from(body)


def test_an_entry_may_hold_nothing_but_its_id():
    assert entry() == ModelEntry(id="m", title="m", owner="unknown", active=True)


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"status": "DISABLED"}, "active", False),
        ({"status": "active"}, "active", True),
        ({"status": 5}, "active", True),
        ({"provider": "OpenAI"}, "owner", "openai"),
        ({"group": "Alibaba"}, "owner", "alibaba"),
        ({"provider": []}, "owner", "unknown"),
        ({"name": "x" * 9999}, "title", "x" * 256),
        ({"name": {}}, "title", "m"),
        ({"modality": {"INPUT": ["text"]}}, "vision", False),
        ({"modality": {"INPUT": ["text", "image"]}}, "vision", True),
        ({"modality": {"INPUT": "image"}}, "vision", None),
        ({"modality": []}, "vision", None),
        ({"features": "CODE_GENERATOR"}, "code", False),
        ({"features": [{}, "CODE_GENERATOR"]}, "code", True),
        ({"creditMetadata": {"CONTEXT": 1000.0}}, "context_tokens", 1000),
        ({"creditMetadata": {"CONTEXT": 0}}, "context_tokens", None),
        ({"creditMetadata": {"CONTEXT": -1}}, "context_tokens", None),
        ({"creditMetadata": {"CONTEXT": True}}, "context_tokens", None),
        ({"creditMetadata": {"CONTEXT": 10**12}}, "context_tokens", None),
        ({"creditMetadata": "x"}, "output_tokens", None),
        ({"deprecationDate": "2020-01-01T00:00:00.000Z"}, "active", True),
    ],
)
def test_fields_of_an_entry(fields, attribute, value):
    assert getattr(entry(**fields), attribute) == value


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        "m",
        {},
        {"modelId": ""},
        {"modelId": 5},
        {"modelId": "x" * 257},
        {"modelId": "a b"},
        {"modelId": "a\nb"},
        {"modelId": "a\x1b[1m"},
        {"modelId": "é"},
    ],
)
def test_a_bad_entry_is_left_out(bad):
    models = models_from(json.dumps([bad, {"modelId": "us.anthropic/x-v1:0"}]).encode())
    assert [model.id for model in models] == ["us.anthropic/x-v1:0"]


def test_the_number_of_entries_is_bounded():
    body = json.dumps([{"modelId": f"m{i}"} for i in range(MAX_ENTRIES + 10)]).encode()
    assert len(models_from(body)) == MAX_ENTRIES
