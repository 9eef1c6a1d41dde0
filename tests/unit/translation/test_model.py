from __future__ import annotations

from typing import Any

import pytest

from onemin.inference.v1 import model_pb2
from service.translation.model import CREATED, to_model
from service.upstream.payloads import ModelEntry

CHAT = model_pb2.MODEL_CAPABILITY_CHAT
VISION = model_pb2.MODEL_CAPABILITY_VISION
CODE = model_pb2.MODEL_CAPABILITY_CODE


def entry(**values: Any) -> ModelEntry:
    return ModelEntry(**{"id": "m-1", "title": "M One", "owner": "maker", "active": True, **values})


def test_a_model_keeps_what_the_entry_tells():
    model = to_model(entry(context_tokens=8192, output_tokens=1024))

    assert (model.id, model.title, model.owner) == ("m-1", "M One", "maker")
    assert (model.max_input_tokens, model.max_completion_tokens) == (8192, 1024)


def test_every_model_has_the_same_constant_time_of_creation():
    assert to_model(entry()).create_time.seconds == CREATED == 1_791_244_800
    assert to_model(entry(id="other")).create_time == to_model(entry()).create_time


def test_a_model_without_a_title_is_called_by_its_id():
    assert to_model(entry(title="")).title == "m-1"


@pytest.mark.parametrize(
    ("values", "capabilities"),
    [
        pytest.param({}, [CHAT], id="vision-unknown"),
        pytest.param({"vision": False}, [CHAT], id="no-vision"),
        pytest.param({"vision": True}, [CHAT, VISION], id="vision"),
        pytest.param({"code": True}, [CHAT, CODE], id="code"),
        pytest.param({"vision": True, "code": True}, [CHAT, VISION, CODE], id="both"),
    ],
)
def test_only_known_capabilities_are_claimed(values, capabilities):
    assert list(to_model(entry(**values)).capabilities) == capabilities


@pytest.mark.parametrize("tokens", [None, 0, -1, 2**31], ids=["none", "zero", "negative", "huge"])
def test_a_limit_that_makes_no_sense_is_unset(tokens):
    model = to_model(entry(context_tokens=tokens, output_tokens=tokens))

    assert not model.HasField("max_input_tokens")
    assert not model.HasField("max_completion_tokens")


def test_the_largest_limit_is_kept():
    assert to_model(entry(context_tokens=2**31 - 1)).max_input_tokens == 2**31 - 1
