from __future__ import annotations

import pytest

from onemin.inference.v1 import chat_pb2
from service.translation.turns import Turn, turns_of

USER = chat_pb2.CHAT_ROLE_USER
TOOL = chat_pb2.CHAT_ROLE_TOOL


def message(role, *texts, name=None):
    parts = [chat_pb2.ContentPart(text=text) for text in texts]
    return chat_pb2.ChatMessage(role=role, parts=parts, name=name)


@pytest.mark.parametrize(
    ("given", "turn"),
    [
        pytest.param(message(USER, "a"), Turn(USER, None, ["a"]), id="one text"),
        pytest.param(message(USER, "a", "", "b"), Turn(USER, None, ["a", "", "b"]), id="texts"),
        pytest.param(message(USER), Turn(USER, None, []), id="no text"),
        pytest.param(message(TOOL, "a", name="f"), Turn(TOOL, "f", ["a"]), id="a name"),
        pytest.param(message(USER, "a", name=""), Turn(USER, None, ["a"]), id="an empty name"),
        pytest.param(message(99, "a"), Turn(99, None, ["a"]), id="an unknown role"),
    ],
)
def test_a_message_is_a_turn(given, turn):
    assert list(turns_of([given])) == [turn]


def test_messages_are_read_in_order_and_as_they_are_asked_for():
    messages = [message(USER, "a"), message(USER, "b")]
    turns = turns_of(messages)
    assert next(turns).texts == ["a"]
    messages[1].parts[0].text = "not read before"
    assert next(turns).texts == ["not read before"]


def test_messages_are_not_written_to():
    given = [message(USER, "a"), message(TOOL, "b", name="f")]
    before = [each.SerializeToString(deterministic=True) for each in given]
    list(turns_of(given))
    assert [each.SerializeToString(deterministic=True) for each in given] == before


def test_what_was_said_is_not_shown():
    assert repr(Turn(USER, "a name", ["a text", "another"])) == f"Turn(role={USER}, texts=2)"
