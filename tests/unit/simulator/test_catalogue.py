from __future__ import annotations

import json
from importlib import resources

import pytest

from service.simulator.catalogue import CHAT_FEATURE, MODELS, is_supported, listing, provider_of


@pytest.mark.parametrize(
    ("model", "vendor"),
    [
        ("gpt-4o-mini", "OPENAI"),
        ("o3-mini", "OPENAI"),
        ("openai/gpt-oss-20b", "OPENAI"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "ANTHROPIC"),
        ("gemini-2.5-flash", "GOOGLEAI"),
        ("qwen-max", "ALIBABA"),
        ("open-mistral-nemo", "MISTRAL"),
        ("deepseek-flash", "DEEPSEEK"),
        ("grok-4.7", "XAI"),
        ("glm-5", "ZAI"),
        ("sonar", "PERPLEXITY"),
        ("command-r-08-2024", "COHERE"),
        ("meta/llama-4-maverick-instruct", "META"),
        ("moonshotai/kimi-k3", "MOONSHOTAI"),
    ],
)
def test_chat_models_are_known_by_their_vendor(model, vendor):
    assert provider_of(model) == vendor
    assert is_supported(model)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("no-such-model", id="unknown"),
        pytest.param("my-gpt-4o", id="vendor-name-inside"),
        pytest.param("o1-mini", id="disabled"),
        pytest.param("gpt-4o-transcribe", id="not-chat"),
        pytest.param("gemini-2.5-flash-image", id="images"),
        pytest.param("order-66", id="looks-a-bit-like-o3"),
    ],
)
def test_other_models_are_refused(model):
    assert not is_supported(model)


def test_every_chat_model_the_gateway_ships_is_answered():
    shipped = json.loads(resources.files("service.inference").joinpath("models.json").read_bytes())
    chat = [model for model in shipped["models"] if model.get("kind", "chat") == "chat"]
    disabled = {model.id for model in MODELS if model.status != "ACTIVE"}
    refused = {model["id"] for model in chat if not is_supported(model["id"])}
    assert chat
    assert refused <= disabled


def test_the_list_has_the_provider_s_corner_cases():
    entries = listing(CHAT_FEATURE)
    assert [entry["modelId"] for entry in entries if entry["status"] == "DISABLED"] == ["o1-mini"]
    assert any(entry["deprecationDate"] for entry in entries)
    ids = {entry["modelId"] for entry in entries}
    assert all(any(mark in one for one in ids) for mark in "/:.")
    assert {tuple(entry["modality"]["INPUT"]) for entry in entries} == {
        ("text",),
        ("text", "image"),
    }


@pytest.mark.parametrize("feature", [None, "", "IMAGE_GENERATOR"])
def test_other_features_have_no_models(feature):
    assert listing(feature) == []
