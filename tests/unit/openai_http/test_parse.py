from __future__ import annotations

import pytest

from service.errors import Reason, ServiceError
from service.openai_http.parse import VALUES_LIMIT, parse_chat_body

NOT_JSON = {
    "empty": b"",
    "spaces": b"  ",
    "truncated": b'{"model":',
    "trailing": b"{} {}",
    "nan": b'{"temperature":NaN}',
    "nan in an unknown field": b'{"x":NaN}',
    "infinity": b'{"x":[-Infinity]}',
    "leading zero": b'{"x":01}',
    "single quotes": b"{'model':'a'}",
    "comment": b'{"x":1 /* one */}',
    "trailing comma": b'{"x":1,}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "control character": b'{"x":"\x01"}',
    "bad escape": b'{"x":"\\q"}',
    "bad utf-8": b'{"model":"\xff"}',
    "bad utf-8 in an unknown field": b'{"x":"\xff"}',
    "bad utf-8 in a key": b'{"\xff":1}',
    "surrogate in utf-8": b'{"x":"\xed\xa0\x80"}',
    "lone high surrogate": b'{"model":"\\ud800"}',
    "lone low surrogate": b'{"x":"\\udc00 "}',
    "utf-16": '{"model":"a"}'.encode("utf-16"),
    "deep array": b'{"x":' + b"[" * 10_000,
    "deep array, closed": b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep object in a known field": b'{"prediction":' + b'{"a":' * 10_000,
    "array": b"[]",
    "null": b"null",
    "number": b"1",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_object_in_utf8_is_refused(body):
    with pytest.raises(ServiceError) as caught:
        parse_chat_body(body)
    assert caught.value.reason is Reason.INVALID_JSON
    assert caught.value.param is None


WRONG_TYPES = {
    "messages": (b'{"messages":"x"}', "messages", "an array, but got a string"),
    "message": (b'{"messages":[1]}', "messages[0]", "an object, but got an integer"),
    "content": (
        b'{"messages":[{"content":1}]}',
        "messages[0].content",
        "one of a string or an array, but got an integer",
    ),
    "part": (
        b'{"messages":[{"content":[{"type":"text","text":{}}]}]}',
        "messages[0].content[0].text",
        "a string, but got an object",
    ),
    "float for integer": (b'{"n":1.0}', "n", "an integer, but got a decimal"),
    "boolean for number": (b'{"temperature":true}', "temperature", "a decimal, but got a boolean"),
    "word for boolean": (b'{"stream":"true"}', "stream", "a boolean, but got a string"),
    "metadata value": (b'{"metadata":{"a":1}}', "metadata", "a string, but got an integer"),
    "bias": (b'{"logit_bias":{"50":null}}', "logit_bias", "a decimal, but got null"),
    "bias value": (b'{"logit_bias":{"50":[]}}', "logit_bias", "a decimal, but got an array"),
    "stream options": (b'{"stream_options":true}', "stream_options", "an object, but got a bool"),
}


@pytest.mark.parametrize(("body", "param", "words"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_wrong_types_are_told_in_openai_s_words(body, param, words):
    with pytest.raises(ServiceError, match=rf"^Invalid type for '.*': expected {words}") as caught:
        parse_chat_body(body)
    assert (caught.value.param, caught.value.code) == (param, "invalid_type")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 5000])
def test_a_number_that_fits_no_type_is_refused(number):
    with pytest.raises(ServiceError, match="out of range") as caught:
        parse_chat_body(b'{"temperature":%s}' % number.encode())
    assert (caught.value.param, caught.value.code) == ("temperature", "invalid_value")


def test_of_repeated_keys_the_last_one_counts():
    assert parse_chat_body(b'{"model":"a","model":"b"}').model == "b"


def test_unknown_fields_are_skipped_and_null_is_not_given():
    body = parse_chat_body(b'{"future":{"a":[1]},"model":null,"messages":[{"role":null}]}')
    assert body.model is None
    assert body.messages is not None
    assert body.messages[0].role is None


def test_escaped_surrogate_pairs_are_characters():
    assert parse_chat_body(b'{"model":"\\ud83d\\ude00"}').model == "😀"


FLOODS = {
    "numbers": b'{"x":[' + b"1," * VALUES_LIMIT + b"1]}",
    "objects": b'{"messages":[' + b"{}," * VALUES_LIMIT + b"{}]}",
    "arrays in arrays": b'{"x":' + b"[" * (VALUES_LIMIT + 1),
    "fields": b"{" + b'"a":1,' * VALUES_LIMIT + b'"a":1}',
    "texts": b'{"stop":[' + b'"",' * (3 * VALUES_LIMIT) + b'""]}',
    "behind an escaped quote": b'{"a":"\\"","x":[' + b"1," * VALUES_LIMIT + b"1]}",
    "behind an escaped backslash": b'{"a":"\\\\","x":[' + b"1," * VALUES_LIMIT + b"1]}",
}


@pytest.mark.parametrize("body", FLOODS.values(), ids=FLOODS)
def test_more_values_than_are_parsed_quickly_are_refused(body):
    with pytest.raises(ServiceError) as caught:
        parse_chat_body(body)
    assert caught.value.reason is Reason.PAYLOAD_TOO_LARGE
    assert caught.value.metadata == {"limit": str(VALUES_LIMIT)}


TEXTS = {
    "commas": b"," * 3,
    "code": b"f([{}, {}])",
    "escaped quotes": b'\\",[\\"',
    "escaped backslashes": b"\\\\,",
    "a backslash before a quote": b'\\\\\\",',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_stands_in_a_text_is_no_value(text):
    body = b'{"model":"%b"}' % (text * VALUES_LIMIT)
    assert parse_chat_body(body).model


def test_as_many_values_as_allowed_are_parsed():
    body = b'{"stop":[' + b'"",' * (VALUES_LIMIT - 3) + b'""]}'
    assert len(parse_chat_body(body).stop) == VALUES_LIMIT - 2
