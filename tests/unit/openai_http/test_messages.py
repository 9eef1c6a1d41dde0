from __future__ import annotations

import msgspec
import pytest

from onemin.inference.v1 import chat_pb2
from service.errors import ServiceError
from service.openai_http.messages import (
    MESSAGES_LIMIT,
    NAME_LIMIT,
    PARTS_LIMIT,
    add_turns,
)
from service.openai_http.schema import Message


def turns(messages):
    """The turns as (role, name, texts)."""
    spec = chat_pb2.ChatCompletionSpec()
    add_turns(msgspec.convert(messages, list[Message] | None), spec)
    return [
        (
            chat_pb2.ChatRole.Name(turn.role).removeprefix("CHAT_ROLE_"),
            turn.name if turn.HasField("name") else None,
            [part.text for part in turn.parts],
        )
        for turn in spec.messages
    ]


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}

TURNS = {
    "system": ({"role": "system", "content": "S"}, ("SYSTEM", None, ["S"])),
    "developer": ({"role": "developer", "content": "D"}, ("DEVELOPER", None, ["D"])),
    "user with a name": (
        {"role": "user", "content": "U", "name": "ann"},
        ("USER", "ann", ["U"]),
    ),
    "empty name": ({"role": "user", "content": "U", "name": ""}, ("USER", None, ["U"])),
    "empty content": ({"role": "user", "content": ""}, ("USER", None, [])),
    "text parts": (
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ("USER", None, ["a", "b"]),
    ),
    "no parts": ({"role": "user", "content": []}, ("USER", None, [])),
    "assistant": ({"role": "assistant", "content": "A"}, ("ASSISTANT", None, ["A"])),
    "assistant without content": ({"role": "assistant"}, ("ASSISTANT", None, [])),
    "assistant as the sdk dumps it": (
        {
            "role": "assistant",
            "content": "A",
            "refusal": None,
            "annotations": [],
            "audio": None,
            "function_call": None,
            "tool_calls": None,
        },
        ("ASSISTANT", None, ["A"]),
    ),
    "refusal": (
        {"role": "assistant", "content": None, "refusal": "No."},
        ("ASSISTANT", None, ["No."]),
    ),
    "refusal part": (
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ("ASSISTANT", None, ["No."]),
    ),
    "refusal of a user is no refusal": (
        {"role": "user", "content": "U", "refusal": "No."},
        ("USER", None, ["U"]),
    ),
    "tool calls": (
        {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL]},
        ("ASSISTANT", None, ["Let me see.", '[called f with {"a":1}]']),
    ),
    "tool call without arguments": (
        {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
        ("ASSISTANT", None, ["[called f with no arguments]"]),
    ),
    "custom tool call": (
        {"role": "assistant", "tool_calls": [{"custom": {"name": "sh", "input": "ls"}}]},
        ("ASSISTANT", None, ["[called sh with ls]"]),
    ),
    "function call": (
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        ("ASSISTANT", None, ["[called f with {}]"]),
    ),
    "function result": (
        {"role": "function", "name": "f", "content": "42"},
        ("TOOL", "f", ["42"]),
    ),
    "function result without content": (
        {"role": "function", "name": "f", "content": None},
        ("TOOL", "f", []),
    ),
    "result of an unknown call": (
        {"role": "tool", "tool_call_id": "call_9", "content": "42"},
        ("TOOL", "call_9", ["42"]),
    ),
    "result in parts": (
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "42"}]},
        ("TOOL", "c", ["42"]),
    ),
}


@pytest.mark.parametrize(("message", "turn"), TURNS.values(), ids=TURNS)
def test_a_message_becomes_a_turn(message, turn):
    assert turns([message]) == [turn]


def test_a_result_is_named_after_the_latest_call_of_its_id():
    second = {"id": "call_1", "function": {"name": "g", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
    history = [
        {"role": "assistant", "tool_calls": [CALL]},
        result,
        {"role": "assistant", "tool_calls": [second]},
        result,
    ]
    assert [name for role, name, _ in turns(history) if role == "TOOL"] == ["f", "g"]


def test_order_is_kept_and_not_judged():
    roles = ["user", "user", "system", "assistant", "assistant"]
    found = turns([{"role": role, "content": role} for role in roles])
    assert [texts for _, _, texts in found] == [[role] for role in roles]


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


LONG = "n" * (NAME_LIMIT + 1)

REFUSALS = {
    "no messages": (None, "messages", "missing_required_parameter"),
    "empty": ([], "messages", "empty_array"),
    "too many": (
        [{"role": "user", "content": "x"}] * (MESSAGES_LIMIT + 1),
        "messages",
        "array_above_max_length",
    ),
    "no role": ([{"content": "x"}], "messages[0].role", "missing_required_parameter"),
    "unknown role": (
        [{"role": "user", "content": ""}, {"role": "bot", "content": "x"}],
        "messages[1].role",
        "invalid_value",
    ),
    "empty role": ([{"role": "", "content": "x"}], "messages[0].role", "invalid_value"),
    "user without content": (
        [{"role": "user", "content": None}],
        "messages[0].content",
        "missing_required_parameter",
    ),
    "system without content": (
        [{"role": "system"}],
        "messages[0].content",
        "missing_required_parameter",
    ),
    "tool without id": (
        [{"role": "tool", "content": "42"}],
        "messages[0].tool_call_id",
        "missing_required_parameter",
    ),
    "function without name": (
        [{"role": "function", "content": "42"}],
        "messages[0].name",
        "missing_required_parameter",
    ),
    "long name": (
        [{"role": "user", "content": "x", "name": LONG}],
        "messages[0].name",
        "string_above_max_length",
    ),
    "long call id": (
        [{"role": "tool", "content": "x", "tool_call_id": LONG}],
        "messages[0].tool_call_id",
        "string_above_max_length",
    ),
    "too many parts": (
        user(*[{"type": "text", "text": "x"}] * (PARTS_LIMIT + 1)),
        "messages[0].content",
        "array_above_max_length",
    ),
    "part without type": (
        user({"text": "x"}),
        "messages[0].content[0].type",
        "missing_required_parameter",
    ),
    "part without text": (
        user({"type": "text"}),
        "messages[0].content[0].text",
        "missing_required_parameter",
    ),
    "unknown part": (
        user({"type": "text", "text": "x"}, {"type": "image"}),
        "messages[0].content[1].type",
        "invalid_value",
    ),
    "refusal of a user": (
        user({"type": "refusal", "refusal": "x"}),
        "messages[0].content[0].type",
        "invalid_value",
    ),
    "refusal part without text": (
        [{"role": "assistant", "content": [{"type": "refusal"}]}],
        "messages[0].content[0].refusal",
        "missing_required_parameter",
    ),
    "unknown part of the assistant": (
        [{"role": "assistant", "content": [{"type": "x"}]}],
        "messages[0].content[0].type",
        "invalid_value",
    ),
    "image": (user({"type": "image_url"}), "messages.[0].content.[0].type", None),
    "audio": (user({"type": "input_audio"}), "messages.[0].content.[0].type", None),
    "file": (user({"type": "file"}), "messages.[0].content.[0].type", None),
    "call of nothing": (
        [{"role": "assistant", "tool_calls": [{"id": "c"}]}],
        "messages[0].tool_calls[0].function",
        "missing_required_parameter",
    ),
    "call without name": (
        [{"role": "assistant", "tool_calls": [CALL, {"function": {}}]}],
        "messages[0].tool_calls[1].function.name",
        "missing_required_parameter",
    ),
    "call with a long name": (
        [{"role": "assistant", "tool_calls": [{"custom": {"name": LONG}}]}],
        "messages[0].tool_calls[0].custom.name",
        "string_above_max_length",
    ),
    "function call without name": (
        [{"role": "assistant", "function_call": {}}],
        "messages[0].function_call.name",
        "missing_required_parameter",
    ),
}


@pytest.mark.parametrize(("messages", "param", "code"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_not_legal_is_refused_with_its_path(messages, param, code):
    with pytest.raises(ServiceError) as caught:
        turns(messages)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_an_image_is_refused_in_the_words_that_clients_know():
    with pytest.raises(ServiceError) as caught:
        turns(user({"type": "image_url", "image_url": "http://x"}))
    expected = "Invalid content type. image_url is only supported by certain models."
    assert caught.value.message == expected


def test_an_unknown_role_is_answered_with_the_known_ones():
    with pytest.raises(ServiceError) as caught:
        turns([{"role": "x" * 100, "content": ""}])
    assert caught.value.message == (
        f"Invalid value: '{'x' * 64}…'. Supported values are: 'system', 'assistant', 'user', "
        "'function', 'tool', and 'developer'."
    )
