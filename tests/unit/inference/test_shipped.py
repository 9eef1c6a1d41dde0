from __future__ import annotations

import re
from collections import Counter

import msgspec
import pytest

from service.inference.shipped import ShippedModel, shipped_models

MODELS = {model.id: model for model in shipped_models()}
CURRENT = {model.id for model in MODELS.values() if not model.retired}


def test_every_name_belongs_to_one_model():
    names = Counter(name for model in shipped_models() for name in (model.id, *model.aliases))

    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_is_well_formed(model):
    for name in (model.id, *model.aliases):
        assert re.fullmatch(r"[a-z0-9._:/@-]{1,128}", name)
    assert re.fullmatch(r"[a-z]+", model.owner)
    assert model.title.isprintable()
    assert model.title
    assert model.context is None or model.context > 0
    assert model.output is None or 0 < model.output <= (model.context or model.output)


@pytest.mark.parametrize(
    "model", [m for m in MODELS.values() if m.retired], ids=lambda model: model.id
)
def test_a_retired_model_leads_to_one_that_is_served(model):
    assert (model.replaced_by is None) != (model.substitute is None)
    successor = MODELS[model.replaced_by or model.substitute]

    # A renamed model may have retired since, under its newer name.
    assert successor.id in CURRENT or (model.replaced_by and successor.substitute in CURRENT)


def test_the_list_covers_the_provider():
    assert len(CURRENT) > 100
    assert {"gpt-4o", "o3", "deepseek-flash", "meta/llama-4-scout-instruct"} <= CURRENT
    assert {MODELS[id_].owner for id_ in CURRENT} >= {"openai", "anthropic", "google", "mistralai"}


def test_models_that_only_write_code_are_left_out():
    assert "gpt-5.1-codex" not in MODELS


def test_a_misspelt_key_is_refused():
    with pytest.raises(msgspec.ValidationError, match="alias"):
        msgspec.convert({"id": "a", "title": "A", "owner": "x", "alias": []}, ShippedModel)
