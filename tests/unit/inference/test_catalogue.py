from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onemin.inference.v1 import model_pb2
from service.errors import Reason, ServiceError
from service.inference.catalogue import MAX_LIVE_MODELS, Catalogue, Resolution
from service.inference.shipped import ShippedModel, shipped_models
from service.upstream.payloads import ModelEntry


def shipped(id_: str, **values: Any) -> ShippedModel:
    return ShippedModel(**{"id": id_, "title": id_.upper(), "owner": "maker", **values})


def live(id_: str, **values: Any) -> ModelEntry:
    return ModelEntry(
        **{"id": id_, "title": f"{id_} - Cloud", "owner": "cloud", "active": True, **values}
    )


MODELS = (
    shipped("one", aliases=("uno", "eins")),
    shipped("two", vision=True, context=1000, output=100),
    shipped("three", owner="other", code=True),
    shipped("old-one", replaced_by="one", aliases=("old-uno",)),
    shipped("zero", substitute="two", aliases=("nil",)),
    shipped("null", replaced_by="zero"),
)


def catalogue(*, allowed: tuple[str, ...] = (), substitutes: bool = True) -> Catalogue:
    return Catalogue(MODELS, allowed=allowed, substitutes=substitutes)


def listed(found: Catalogue, capability: int | None = None) -> list[str]:
    return [model.id for model in found.models(capability)]


def answers(found: Catalogue, name: str) -> str | None:
    """Return the id that is sent to the provider, None if the name is refused."""
    try:
        return found.resolve(name).upstream_id
    except ServiceError:
        return None


@pytest.mark.parametrize(
    ("name", "upstream_id", "answer_id", "owner", "substituted"),
    [
        pytest.param("one", "one", "one", "maker", False, id="id"),
        pytest.param("three", "three", "three", "other", False, id="id-of-another-vendor"),
        pytest.param("uno", "one", "uno", "maker", False, id="alias"),
        pytest.param("old-one", "one", "old-one", "maker", False, id="renamed"),
        pytest.param("old-uno", "one", "old-uno", "maker", False, id="alias-of-renamed"),
        pytest.param("zero", "two", "two", "maker", True, id="retired"),
        pytest.param("nil", "two", "two", "maker", True, id="alias-of-retired"),
        pytest.param("null", "two", "two", "maker", True, id="renamed-then-retired"),
    ],
)
def test_a_name_resolves(name, upstream_id, answer_id, owner, substituted):
    resolution = catalogue().resolve(name)

    assert resolution == Resolution(name, upstream_id, answer_id, owner, substituted)
    assert resolution.label == upstream_id


@pytest.mark.parametrize("name", ["", "four", "ONE", "one ", "one:online"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ServiceError) as refusal:
        catalogue().resolve(name)

    assert refusal.value.reason is Reason.MODEL_NOT_FOUND
    assert refusal.value.message == (
        f"The model `{name}` does not exist or you do not have access to it."
    )
    assert refusal.value.metadata == {"model": name}


@given(st.text(st.characters(codec=None), max_size=300))
@settings(max_examples=200, deadline=None)
def test_a_refusal_shows_a_short_printable_name(name):
    with pytest.raises(ServiceError) as refusal:
        catalogue().resolve(f"no {name}")

    assert refusal.value.message.isprintable()
    assert len(refusal.value.metadata["model"]) <= 128
    assert refusal.value.metadata["model"] in refusal.value.message


def test_a_long_name_is_cut():
    with pytest.raises(ServiceError) as refusal:
        catalogue().resolve("x" * 10_000)

    assert refusal.value.metadata == {"model": "x" * 128}


def test_control_characters_are_replaced():
    with pytest.raises(ServiceError) as refusal:
        catalogue().resolve("a\r\n\x1b[31m\u202eb\ud800")

    assert refusal.value.metadata["model"] == "a\ufffd\ufffd\ufffd[31m\ufffdb\ufffd"


@pytest.mark.parametrize("name", ["zero", "nil", "null"])
def test_without_substitutes_a_retired_model_is_refused(name):
    assert answers(catalogue(substitutes=False), name) is None


def test_without_substitutes_a_renamed_model_still_answers():
    assert answers(catalogue(substitutes=False), "old-one") == "one"


@pytest.mark.parametrize("name", ["one", "uno", "old-one", "old-uno"])
def test_a_model_is_described_under_its_current_id(name):
    assert catalogue().get(name).id == "one"


@pytest.mark.parametrize("name", ["zero", "nil", "null", "four"])
def test_a_retired_or_unknown_model_is_not_described(name):
    with pytest.raises(ServiceError) as refusal:
        catalogue().get(name)

    assert refusal.value.reason is Reason.MODEL_NOT_FOUND
    assert refusal.value.metadata == {"model": name}


@pytest.mark.parametrize(
    ("capability", "ids"),
    [
        pytest.param(None, ["one", "three", "two"], id="all"),
        pytest.param(model_pb2.MODEL_CAPABILITY_CHAT, ["one", "three", "two"], id="chat"),
        pytest.param(model_pb2.MODEL_CAPABILITY_VISION, ["two"], id="vision"),
        pytest.param(model_pb2.MODEL_CAPABILITY_CODE, ["three"], id="code"),
        pytest.param(99, [], id="unknown"),
    ],
)
def test_the_list_holds_current_models_sorted_by_id(capability, ids):
    assert listed(catalogue(), capability) == ids


def test_models_are_prepared_once():
    found = catalogue()

    assert found.models() is found.models()
    assert found.get("uno") is found.models()[0]


@pytest.mark.parametrize(
    ("allowed", "ids", "unknown"),
    [
        pytest.param(("one",), ["one"], [], id="id"),
        pytest.param(("uno", "two"), ["one", "two"], [], id="alias"),
        pytest.param(("old-one",), ["one"], [], id="renamed"),
        pytest.param(("two", "tow"), ["two"], ["tow"], id="misspelt"),
        pytest.param(("zero",), [], ["zero"], id="retired"),
    ],
)
def test_only_allowed_models_are_offered(allowed, ids, unknown):
    found = catalogue(allowed=allowed)

    assert listed(found) == ids
    assert found.unknown_allowed() == tuple(unknown)


@pytest.mark.parametrize(
    ("name", "upstream_id"),
    [
        ("one", "one"),
        ("eins", "one"),
        ("old-uno", "one"),
        ("two", None),
        ("zero", None),
        ("three", None),
    ],
)
def test_a_name_of_a_model_that_is_not_allowed_is_refused(name, upstream_id):
    assert answers(catalogue(allowed=("uno",)), name) == upstream_id


def test_a_substitute_that_is_allowed_answers():
    assert answers(catalogue(allowed=("two",)), "zero") == "two"


def test_a_model_that_is_not_allowed_is_not_described():
    with pytest.raises(ServiceError):
        catalogue(allowed=("one",)).get("two")


def test_the_live_list_decides_what_is_listed():
    found = catalogue()

    assert found.replace([live("two"), live("new"), live("gone", active=False)])

    assert listed(found) == ["new", "two"]
    assert answers(found, "new") == "new"
    assert answers(found, "gone") is None


def test_a_shipped_model_that_the_live_list_lacks_stays_usable():
    found = catalogue()
    found.replace([live("two")])

    assert answers(found, "uno") == "one"
    assert found.get("one").id == "one"


@pytest.mark.parametrize("name", ["two", "zero", "null"])
def test_a_disabled_model_neither_answers_nor_stands_in(name):
    found = catalogue()
    found.replace([live("one"), live("two", active=False)])

    assert answers(found, name) is None


@pytest.mark.parametrize(
    ("entry", "name", "sent", "substituted"),
    [
        pytest.param(live("old-one"), "old-one", "old-one", False, id="renamed-back"),
        pytest.param(live("old-one"), "old-uno", "old-one", False, id="alias-of-renamed-back"),
        pytest.param(live("zero"), "zero", "zero", False, id="retired-came-back"),
        pytest.param(live("zero"), "null", "zero", False, id="renamed-to-one-that-came-back"),
        pytest.param(live("uno"), "uno", "uno", False, id="alias-became-an-id"),
        pytest.param(live("two"), "old-one", "one", False, id="renamed-with-target-unlisted"),
        pytest.param(live("two"), "nil", "two", True, id="substitute-with-target-listed"),
    ],
)
def test_a_live_id_beats_every_other_meaning_of_a_name(entry, name, sent, substituted):
    found = catalogue()
    found.replace([entry])

    assert (found.resolve(name).upstream_id, found.resolve(name).substituted) == (sent, substituted)


def test_a_disabled_retired_model_keeps_its_substitute():
    found = catalogue()
    found.replace([live("two"), live("zero", active=False)])

    assert answers(found, "zero") == "two"


def test_live_limits_and_capabilities_win_but_names_and_vendors_stay():
    found = catalogue()
    found.replace([live("two", vision=False, code=True, context_tokens=500)])

    model = found.get("two")

    assert (model.title, model.owner) == ("TWO", "maker")
    assert (model.max_input_tokens, model.max_completion_tokens) == (500, 100)
    assert list(model.capabilities) == [
        model_pb2.MODEL_CAPABILITY_CHAT,
        model_pb2.MODEL_CAPABILITY_CODE,
    ]


def test_what_the_live_list_does_not_say_is_kept():
    found = catalogue()
    before = model_pb2.Model.FromString(found.get("two").SerializeToString())
    found.replace([live("two")])

    assert found.get("two") == before


def test_a_live_model_that_is_not_shipped_is_described_by_the_live_list():
    found = catalogue()
    found.replace([live("new", vision=True, context_tokens=7)])

    model = found.get("new")

    assert (model.title, model.owner, model.max_input_tokens) == ("new - Cloud", "cloud", 7)
    assert model.create_time == catalogue().get("one").create_time
    assert found.resolve("new").owner == "cloud"


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([], id="empty"),
        pytest.param([live("one", active=False), live("two", active=False)], id="all-disabled"),
        pytest.param([live("a b"), live(""), live("é"), live("x" * 257)], id="no-sendable-id"),
    ],
)
def test_a_list_without_an_active_model_is_not_believed(entries):
    found = catalogue()
    found.replace([live("two"), live("new")])

    assert not found.replace(entries)

    assert listed(found) == ["new", "two"]
    assert answers(found, "one") == "one"


def test_a_model_with_an_id_that_cannot_be_sent_is_left_out():
    found = catalogue()

    assert found.replace([live("two"), live("line\nbreak")])

    assert listed(found) == ["two"]


def test_a_live_list_replaces_the_one_before():
    found = catalogue()
    found.replace([live("new"), live("two", active=False)])
    found.replace([live("two"), live("newer")])

    assert listed(found) == ["newer", "two"]
    assert answers(found, "new") is None
    assert answers(found, "two") == "two"


def test_the_live_list_is_bounded():
    found = catalogue()
    found.replace([live(f"m{number}") for number in range(MAX_LIVE_MODELS + 1)])

    assert len(found.models()) == MAX_LIVE_MODELS


def test_the_allow_list_holds_for_live_models():
    found = catalogue(allowed=("new", "uno"))
    assert found.unknown_allowed() == ("new",)

    found.replace([live("one"), live("two"), live("new"), live("other")])

    assert listed(found) == ["new", "one"]
    assert answers(found, "other") is None
    assert found.unknown_allowed() == ()


def test_what_was_read_before_a_change_stays_as_it_was():
    found = catalogue()
    before = found.models()
    found.replace([live("new")])

    assert [model.id for model in before] == ["one", "three", "two"]


def test_every_name_that_is_shipped_answers():
    found = Catalogue.shipped(allowed=(), substitutes=True)
    names = [name for model in shipped_models() for name in (model.id, *model.aliases)]

    assert [name for name in names if answers(found, name) is None] == []
    assert len(found.models()) > 100


@pytest.mark.parametrize(
    ("name", "sent", "answer_id"),
    [
        ("gpt-4o", "gpt-4o", "gpt-4o"),
        ("claude-sonnet-4-6", "us.anthropic.claude-sonnet-4-6", "claude-sonnet-4-6"),
        ("mistral-large", "mistral-large-latest", "mistral-large"),
        ("gpt-4", "gpt-4o", "gpt-4o"),
        ("gpt-o4-mini", "gpt-5-mini", "gpt-5-mini"),
    ],
)
def test_shipped_names_resolve_as_documented(name, sent, answer_id):
    resolution = Catalogue.shipped(allowed=(), substitutes=True).resolve(name)

    assert (resolution.upstream_id, resolution.answer_id) == (sent, answer_id)
