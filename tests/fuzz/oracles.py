"""What must hold for any bytes at all, as functions of bytes that fail an assertion.

`test_fuzz.py` asks them what hypothesis makes up; `run.py` what a coverage-guided fuzzer does.
"""

from __future__ import annotations

import json
import re
from unittest import mock

from google.protobuf.message import DecodeError

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.errors import MESSAGE_LIMIT, Reason, ServiceError
from service.inference.validation import Validator
from service.openai_http import parse as openai_parse
from service.openai_http.decode import decode_chat_request
from service.openai_http.errors import error_json
from service.openai_http.sse import error_frame
from service.rpc.field_count import has_more_fields
from service.rpc.status import to_grpc
from service.translation.failure import to_service_error
from service.translation.prompt import flatten
from service.translation.stream import AnswerStream
from service.translation.turns import Turn, turns_of
from service.upstream.answers import record_of
from service.upstream.errors import UpstreamError
from service.upstream.events import RawTextDecoder, SseChatDecoder, is_sse
from service.upstream.payloads import ChatRecord, DoneEvent
from service.upstream.refusals import refusal_of_answer
from service.upstream.sse import BOM, EventTooLarge, SseDecoder, SseEvent
from tests.unit.translation.test_prompt_properties import parse

LIMIT = 1 << 16
BOUNDARY = "8f0c21aa90b1c2d3"
_validator = Validator()


def cut(data):
    """Split data into the body and the pieces it comes in: its first bytes say how."""
    plan, body = data[:4], data[4:]
    pieces, at = [], 0
    for size in plan:
        pieces.append(body[at : at + size])
        at += size
    return body, [*pieces, body[at:]]


def sse(data):
    """The decoder of server-sent events agrees with the standard, however the bytes are cut."""
    body, pieces = cut(data)
    expected = _standard(body)
    for chunks in ([body], pieces, [body[i : i + 1] for i in range(len(body))]):
        decoder = SseDecoder(LIMIT)
        events = [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.close()
        assert events == expected
    _check_bounded(body, data[:1])


def _standard(body):
    """The standard, read line by line; a last event needs no blank line."""
    events, name, lines = [], b"", []
    for line in [*re.split(rb"\r\n|\r|\n", body.removeprefix(BOM)), b""]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if lines:
                texts = (name, b"\n".join(lines))
                events.append(SseEvent(*(text.decode(errors="surrogateescape") for text in texts)))
            name, lines = b"", []
        elif field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value
    return events


def _check_bounded(body, limit):
    most = 1 + (limit[0] if limit else 0)
    decoder = SseDecoder(most)
    try:
        for byte in body:
            for event in decoder.feed(bytes([byte])):
                assert len(event.data) <= most
    except EventTooLarge:
        pass
    assert decoder._size + len(decoder._line) <= most + len(BOM) + 1


def stream(data):
    """Any streamed body is an answer or a named failure, and its text does not depend on cuts."""
    web_search = bool(data[:1] and data[0] & 1)
    body, pieces = cut(data[1:])
    whole = _answer([body], web_search=web_search)
    assert _answer(pieces, web_search=web_search)[0] == whole[0]


def _answer(chunks, *, web_search):
    body = b"".join(chunks)
    decoder = SseChatDecoder(LIMIT) if is_sse(body) is not False else RawTextDecoder()
    answer = AnswerStream(web_search=web_search)
    texts = []
    try:
        for event in _events(decoder, chunks):
            texts.append(answer.feed(event))  # what came before a failure counts
            if isinstance(event, DoneEvent):
                break
    except UpstreamError as error:
        _check_failure(error)
        texts += [answer.close(), type(error).__name__]
    else:
        texts.append(answer.close())
        texts.append(_ending(answer))
    text = "".join(texts)
    text.encode()  # no lone surrogate: it could not be sent on
    return text, answer.record


def _ending(answer):
    try:
        answer.check_whole()
    except UpstreamError as error:
        return type(error).__name__
    return ""


def _events(decoder, chunks):
    for chunk in chunks:
        yield from decoder.feed(chunk)
    yield from decoder.close()


def record(data):
    """Any whole answer is a record or a named failure that tells nothing of the provider's text."""
    for media_type in ("application/json", "text/html"):
        try:
            read = record_of(data, media_type)
        except UpstreamError as error:
            _check_failure(error)
            continue
        assert isinstance(read, ChatRecord)
        (read.text or "").encode()
    status = 400 + int.from_bytes(data[:1], "big") % 200
    _check_failure(refusal_of_answer(status, data, reason="X", retry_after=None, now=0.0))


def _check_failure(error):
    failure = to_service_error(error, model="m")
    assert isinstance(failure, ServiceError)
    _check_tellable(failure)


def _check_tellable(error):
    """A failure can be told on both doors, in bounds."""
    assert 0 < len(error.message) <= MESSAGE_LIMIT
    assert set(json.loads(error_json(error))["error"]) == {"message", "type", "param", "code"}
    assert error_frame(error).count(b"\n\n") == 1
    assert error_frame(error).endswith(b"\n\n")
    status = to_grpc(error, "req_1")
    assert sum(len(value) for _, value in status.trailing_metadata) < 8192
    assert len(status.details.encode()) <= MESSAGE_LIMIT


def body(data):
    """Any body is a request that the contract allows, or a refusal in OpenAI's words."""
    request, refusal = _attempt(lambda: decode_chat_request(data))
    if refusal is not None:
        assert 400 <= refusal.row.http_status < 500
        return
    json.loads(data)
    _validator.check(request.message)
    assert flatten(list(turns_of(request.spec.messages)), BOUNDARY).strip()


def _attempt(act):
    try:
        return act(), None
    except ServiceError as error:
        _check_tellable(error)
        return None, error


VALUES = 8
_KINDS = ["number", "text", "array", "object"]
_TEXTS = ["", '"', "\\", '\\"', ",", "[{", '",["', "\\\\", "a", "\u2028"]


def values(data):
    """The count of values before the parsing is that of the document, which the bytes describe."""
    document = _document(iter(data))
    with mock.patch.object(openai_parse, "VALUES_LIMIT", VALUES):
        too_many = openai_parse._has_too_many_values(json.dumps(document).encode())
    assert too_many == (_marks(document) > VALUES), document


def _document(data, depth=0):
    """A value of JSON: a byte says what comes, further ones what is in it."""
    kind = "text" if depth > 20 else _KINDS[next(data, 0) % len(_KINDS)]
    if kind == "text":
        return _TEXTS[next(data, 0) % len(_TEXTS)]
    if kind == "number":
        return next(data, 0)
    inner = [_document(data, depth + 1) for _ in range(next(data, 0) % 5)]
    if kind == "array":
        return inner
    names = (f"{number}{_TEXTS[next(data, 0) % len(_TEXTS)]}" for number in range(len(inner)))
    return dict(zip(names, inner, strict=True))


def _marks(value):
    if not isinstance(value, dict | list):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(inner) - 1) + sum(_marks(each) for each in inner)


def message(data):
    """Any message is a request that decodes, and is counted alike, or it is refused."""
    kind = pb.CreateChatCompletionRequest
    try:
        request = kind.FromString(data)
    except DecodeError:
        return
    try:
        small = has_more_fields(data, kind.DESCRIPTOR, 3)
        assert not has_more_fields(data, kind.DESCRIPTOR, len(data) + 1)
    except DecodeError:
        pass  # groups
    else:
        assert small or len(request.spec.messages) <= 2  # and the spec itself
    _, refusal = _attempt(lambda: _validator.check(request))
    if refusal is not None:
        assert refusal.reason is Reason.INVALID_FIELD
    else:
        assert flatten(list(turns_of(request.spec.messages)), BOUNDARY).strip()


_ROLES = {
    "system": chat_pb2.CHAT_ROLE_SYSTEM,
    "developer": chat_pb2.CHAT_ROLE_DEVELOPER,
    "user": chat_pb2.CHAT_ROLE_USER,
    "assistant": chat_pb2.CHAT_ROLE_ASSISTANT,
    "tool": chat_pb2.CHAT_ROLE_TOOL,
}


def prompt(data):
    """The turns of a prompt are the turns that were given, whoever knows the boundary.

    A zero byte separates turns; a turn's first byte says its role and whether it has a name, which
    ends at a byte of one. `~` stands for the boundary, so that it is found by chance.
    """
    boundary = "Zz9"
    turns = []
    for part in data.split(b"\0"):
        role = list(_ROLES)[part[0] % 5] if part else "user"
        text = part[1:].decode(errors="replace").replace("~", boundary)
        name, separator, rest = text.partition("\x01")
        turns.append((role, name, rest) if separator and name else (role, None, text))
    written = flatten([Turn(_ROLES[role], name, [text]) for role, name, text in turns], boundary)
    if len(turns) == 1 and turns[0][:2] == ("user", None) and turns[0][2].strip():
        assert written == turns[0][2]
    else:
        assert parse(written, boundary) == turns


ORACLES = {each.__name__: each for each in (sse, stream, record, body, values, message, prompt)}
