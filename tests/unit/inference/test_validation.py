from __future__ import annotations

import pytest

from onemin.inference.v1 import chat_pb2, model_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.errors import Reason, ServiceError
from service.inference.validation import TOLD_WHOLE_BYTES, VIOLATION_LIMIT, Validator

USER = chat_pb2.CHAT_ROLE_USER


@pytest.fixture(scope="module")
def validator():
    validator = Validator()
    validator.warm()
    return validator


def chat(messages=None, **spec):
    if messages is None:
        messages = [chat_pb2.ChatMessage(role=USER, parts=[chat_pb2.ContentPart(text="Hi")])]
    fields = {"model": "m"} | spec
    return pb.CreateChatCompletionRequest(
        spec=chat_pb2.ChatCompletionSpec(messages=messages, **fields)
    )


def sampling(**fields):
    return chat(sampling=chat_pb2.SamplingConfig(**fields))


def search(**fields):
    return chat(web_search=chat_pb2.WebSearchConfig(**fields))


def message(**fields):
    return chat([chat_pb2.ChatMessage(**fields)])


LEGAL = {
    "the least": chat(),
    "an empty turn": message(role=USER),
    "every setting at its least": sampling(
        temperature=0, top_p=0, max_completion_tokens=1, frequency_penalty=-2, presence_penalty=-2
    ),
    "every setting at its most": sampling(
        temperature=2, top_p=1, frequency_penalty=2, presence_penalty=2, stop_sequences=["x"] * 4
    ),
    "a search": search(),
    "a page": pb.ListModelsRequest(page_size=5000, page_token="x"),
    "a capability": pb.ListModelsRequest(capability=model_pb2.MODEL_CAPABILITY_VISION),
    "a model": pb.GetModelRequest(id="m"),
}


@pytest.mark.parametrize("request_", LEGAL.values(), ids=LEGAL)
def test_what_the_rules_allow(validator, request_):
    validator.check(request_)


ILLEGAL = {
    "no spec": (pb.CreateChatCompletionRequest(), "spec"),
    "no spec in a stream": (pb.StreamChatCompletionRequest(), "spec"),
    "nothing to count": (pb.CountTokensRequest(), "spec"),
    "no model": (chat(model=""), "spec.model"),
    "a long model": (chat(model="m" * 257), "spec.model"),
    "no messages": (chat([]), "spec.messages"),
    "too many messages": (
        chat([chat_pb2.ChatMessage(role=USER)] * 2049),
        "spec.messages",
    ),
    "no role": (message(), "spec.messages[0].role"),
    "an unknown role": (message(role=99), "spec.messages[0].role"),
    "a part without a content": (
        message(role=USER, parts=[chat_pb2.ContentPart()]),
        "spec.messages[0].parts[0].content",
    ),
    "too many parts": (
        message(role=USER, parts=[chat_pb2.ContentPart(text="x")] * 257),
        "spec.messages[0].parts",
    ),
    "an empty name": (message(role=USER, name=""), "spec.messages[0].name"),
    "a high temperature": (sampling(temperature=2.1), "spec.sampling.temperature"),
    "a temperature that is no number": (
        sampling(temperature=float("nan")),
        "spec.sampling.temperature",
    ),
    "a negative top_p": (sampling(top_p=-0.1), "spec.sampling.top_p"),
    "no tokens at all": (sampling(max_completion_tokens=0), "spec.sampling.max_completion_tokens"),
    "a low penalty": (sampling(presence_penalty=-3), "spec.sampling.presence_penalty"),
    "a high penalty": (sampling(frequency_penalty=3), "spec.sampling.frequency_penalty"),
    "five stops": (sampling(stop_sequences=["x"] * 5), "spec.sampling.stop_sequences"),
    "an empty stop": (sampling(stop_sequences=["x", ""]), "spec.sampling.stop_sequences[1]"),
    "no sites": (search(max_sites=0), "spec.web_search.max_sites"),
    "too many words": (search(max_words=10_001), "spec.web_search.max_words"),
    "a negative page": (pb.ListModelsRequest(page_size=-1), "page_size"),
    "no capability": (pb.ListModelsRequest(capability=0), "capability"),
    "a model without a name": (pb.GetModelRequest(), "id"),
}


@pytest.mark.parametrize(("request_", "field"), ILLEGAL.values(), ids=ILLEGAL)
def test_what_the_rules_forbid_is_named(validator, request_, field):
    with pytest.raises(ServiceError) as refused:
        validator.check(request_)

    assert refused.value.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in refused.value.violations] == [field]
    assert field in refused.value.message


def test_only_so_many_violations_are_told(validator):
    with pytest.raises(ServiceError) as refused:
        validator.check(chat([chat_pb2.ChatMessage()] * 100))

    assert len(refused.value.violations) == VIOLATION_LIMIT


def test_of_a_large_request_the_first_violation_is_told(validator):
    flood = chat([chat_pb2.ChatMessage()] * TOLD_WHOLE_BYTES)
    with pytest.raises(ServiceError) as refused:
        validator.check(flood)

    assert len(refused.value.violations) == 1
