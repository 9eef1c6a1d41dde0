"""OpenAI's messages to the turns of a conversation.

Tool history is given as text, because the provider knows no tools: a call becomes a line
`[called NAME with ARGUMENTS]` of the assistant's turn, a result a tool turn that is named after the
function that was called. The rules of order that OpenAI has are not applied: a conversation that is
flattened into a prompt does not need them, and frameworks that edit histories break them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onemin.inference.v1 import chat_pb2
from service.errors import ServiceError
from service.openai_http.refusals import (
    array_too_long,
    empty_array,
    invalid_value,
    missing_parameter,
    string_too_long,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

    from service.openai_http.schema import ContentPart, FunctionCall, Message, ToolCall

    Turns: TypeAlias = RepeatedCompositeFieldContainer[chat_pb2.ChatMessage]

MESSAGES_LIMIT: Final = 2048
PARTS_LIMIT: Final = 256
NAME_LIMIT: Final = 256

_ROLES: Final = {
    "system": chat_pb2.CHAT_ROLE_SYSTEM,
    "assistant": chat_pb2.CHAT_ROLE_ASSISTANT,
    "user": chat_pb2.CHAT_ROLE_USER,
    "function": chat_pb2.CHAT_ROLE_TOOL,
    "tool": chat_pb2.CHAT_ROLE_TOOL,
    "developer": chat_pb2.CHAT_ROLE_DEVELOPER,
}
_CONTENT_IS_OPTIONAL: Final = frozenset({"assistant", "function"})
_MEDIA: Final = frozenset({"image_url", "input_audio", "file"})


def add_turns(messages: list[Message] | None, spec: chat_pb2.ChatCompletionSpec) -> None:
    """Append the messages to `spec.messages`.

    Raises:
        ServiceError: `INVALID_FIELD`, with the path of the field in OpenAI's spelling.
    """
    if messages is None:
        raise missing_parameter("messages")
    if not messages:
        raise empty_array("messages")
    if len(messages) > MESSAGES_LIMIT:
        raise array_too_long("messages", MESSAGES_LIMIT, len(messages))
    called: dict[str, str] = {}
    turns = spec.messages
    for index, message in enumerate(messages):
        _add_turn(message, index, called, turns)


def _add_turn(message: Message, index: int, called: dict[str, str], turns: Turns) -> None:
    role = _ROLES.get(message.role or "")
    if role is None:
        path = f"messages[{index}].role"
        if message.role is None:
            raise missing_parameter(path)
        raise invalid_value(path, message.role, tuple(_ROLES))
    turn = turns.add()
    turn.role = role
    if message.name is not None or role == chat_pb2.CHAT_ROLE_TOOL:
        name = _speaker(message, index, called)
        if name:
            turn.name = name
    for text in _texts(message, index, called):
        if text:
            turn.parts.add().text = text


def _speaker(message: Message, index: int, called: dict[str, str]) -> str:
    """Return the name of a speaker that has one or must have one."""
    is_result = message.role == "tool"
    name = message.tool_call_id if is_result else message.name
    path = f"messages[{index}].{'tool_call_id' if is_result else 'name'}"
    if name is None:
        raise missing_parameter(path)
    if len(name) > NAME_LIMIT:
        raise string_too_long(path, NAME_LIMIT, len(name))
    return called.get(name, name) if is_result else name


def _texts(message: Message, index: int, called: dict[str, str]) -> list[str]:
    if isinstance(message.content, str):
        texts = [message.content]
    elif message.content is not None:
        texts = list(_part_texts(message.content, index, message.role))
    elif message.role in _CONTENT_IS_OPTIONAL:
        texts = []
    else:
        raise missing_parameter(f"messages[{index}].content")
    if message.role == "assistant":
        texts.extend(_assistant_texts(message, index, called))
    return texts


def _assistant_texts(message: Message, index: int, called: dict[str, str]) -> Iterator[str]:
    if message.refusal:
        yield message.refusal
    for number, call in enumerate(message.tool_calls or ()):
        yield _called_tool(call, f"messages[{index}].tool_calls[{number}]", called)
    if message.function_call is not None:
        yield _called_function(message.function_call, f"messages[{index}].function_call")


def _part_texts(parts: list[ContentPart], index: int, role: str | None) -> Iterator[str]:
    if len(parts) > PARTS_LIMIT:
        raise array_too_long(f"messages[{index}].content", PARTS_LIMIT, len(parts))
    for number, part in enumerate(parts):
        path = f"messages[{index}].content[{number}]"
        if part.type == "text":
            yield _required(part.text, f"{path}.text")
        elif part.type == "refusal" and role == "assistant":
            yield _required(part.refusal, f"{path}.refusal")
        else:
            raise _unsupported_part(part, index, number, role)


def _unsupported_part(part: ContentPart, index: int, number: int, role: str | None) -> ServiceError:
    path = f"messages[{index}].content[{number}].type"
    if part.type is None:
        return missing_parameter(path)
    if part.type in _MEDIA:
        # The dots before the brackets are OpenAI's own in this one case.
        return ServiceError.invalid_field(
            f"messages.[{index}].content.[{number}].type",
            f"Invalid content type. {part.type} is only supported by certain models.",
        )
    return invalid_value(path, part.type, ("text", "refusal") if role == "assistant" else ("text",))


def _called_tool(call: ToolCall, path: str, called: dict[str, str]) -> str:
    if call.custom is not None:
        name = _tool_name(call.custom.name, f"{path}.custom.name")
        text = _call_line(name, call.custom.input)
    elif call.function is not None:
        name = _tool_name(call.function.name, f"{path}.function.name")
        text = _call_line(name, call.function.arguments)
    else:
        raise missing_parameter(f"{path}.function")
    if call.id:
        called[call.id] = name
    return text


def _called_function(call: FunctionCall, path: str) -> str:
    return _call_line(_tool_name(call.name, f"{path}.name"), call.arguments)


def _tool_name(name: str | None, path: str) -> str:
    required = _required(name, path)
    if len(required) > NAME_LIMIT:
        raise string_too_long(path, NAME_LIMIT, len(required))
    return required


def _call_line(name: str, arguments: str | None) -> str:
    return f"[called {name} with {arguments or 'no arguments'}]"


def _required(text: str | None, path: str) -> str:
    if text is None:
        raise missing_parameter(path)
    return text
