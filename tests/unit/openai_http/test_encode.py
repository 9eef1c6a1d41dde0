from __future__ import annotations

import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from onemin.inference.v1 import chat_pb2, model_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.openai_http.encode import (
    chat_completion,
    finish_reason,
    model_list,
    model_object,
    usage_object,
)

NO_DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def test_a_whole_answer():
    response = pb.CreateChatCompletionResponse(
        id="chatcmpl-1",
        model="gpt-5",
        create_time=Timestamp(seconds=1755133833, nanos=999),
        text="Hé\u2028",
        finish_reason=chat_pb2.FINISH_REASON_LENGTH,
        usage=chat_pb2.TokenUsage(prompt_tokens=3, completion_tokens=4, estimated=True),
    )
    assert orjson.loads(chat_completion(response, "gpt-4o")) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1755133833,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hé\u2028",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "length",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            **NO_DETAILS,
            "estimated": True,
        },
        "system_fingerprint": None,
    }


def test_credits_are_told_when_known():
    assert "credits" not in usage_object(chat_pb2.TokenUsage())
    assert usage_object(chat_pb2.TokenUsage(credits=0))["credits"] == 0.0


FINISHES = {
    chat_pb2.FINISH_REASON_STOP: "stop",
    chat_pb2.FINISH_REASON_LENGTH: "length",
    chat_pb2.FINISH_REASON_CONTENT_FILTER: "content_filter",
    chat_pb2.FINISH_REASON_UNSPECIFIED: "stop",
    99: "stop",
}


@pytest.mark.parametrize(("reason", "word"), FINISHES.items())
def test_a_finish_reason_is_a_word_that_clients_accept(reason, word):
    assert finish_reason(reason) == word


def test_a_model_tells_what_it_can_do():
    model = model_pb2.Model(
        id="a/b:c",
        owner="openai",
        create_time=Timestamp(seconds=5),
        capabilities=[1, 2, 99],
        max_input_tokens=128000,
        max_completion_tokens=4096,
    )
    assert model_object(model) == {
        "id": "a/b:c",
        "object": "model",
        "created": 5,
        "owned_by": "openai",
        "capabilities": ["chat", "vision", "unknown"],
        "context_length": 128000,
        "max_output_tokens": 4096,
    }


def test_limits_that_are_not_known_are_left_out():
    assert orjson.loads(model_list([model_pb2.Model(id="m", owner="o")])) == {
        "object": "list",
        "data": [
            {"id": "m", "object": "model", "created": 0, "owned_by": "o", "capabilities": []},
        ],
    }
