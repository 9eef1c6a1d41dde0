"""Answers of the contract to OpenAI's objects.

No object ever has a key `error`, not even null: some clients test whether it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from onemin.inference.v1 import chat_pb2, model_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onemin.inference.v1 import inference_service_pb2 as pb

_FINISH_REASONS: Final = {
    chat_pb2.FINISH_REASON_LENGTH: "length",
    chat_pb2.FINISH_REASON_CONTENT_FILTER: "content_filter",
}
_CAPABILITY_PREFIX: Final = "MODEL_CAPABILITY_"


def chat_completion(response: pb.CreateChatCompletionResponse, model: str) -> bytes:
    """Return the `chat.completion` object, under the given model id."""
    return orjson.dumps(
        {
            "id": response.id,
            "object": "chat.completion",
            "created": response.create_time.seconds,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": response.text,
                        "refusal": None,
                        "annotations": [],
                    },
                    "logprobs": None,
                    "finish_reason": finish_reason(response.finish_reason),
                }
            ],
            "usage": usage_object(response.usage),
            "system_fingerprint": None,
        }
    )


def finish_reason(reason: chat_pb2.FinishReason.ValueType) -> str:
    """Return one of the words that validating clients accept, for reasons yet unknown too."""
    return _FINISH_REASONS.get(reason, "stop")


def usage_object(usage: chat_pb2.TokenUsage) -> dict[str, object]:
    """Return the `usage` object; `estimated` and `credits` are ours."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    shown: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "estimated": usage.estimated,
    }
    if usage.HasField("credits"):
        shown["credits"] = usage.credits
    return shown


def model_list(models: Iterable[model_pb2.Model]) -> bytes:
    """Return the `list` object of models."""
    return orjson.dumps({"object": "list", "data": [model_object(model) for model in models]})


def model_object(model: model_pb2.Model) -> dict[str, object]:
    """Return the `model` object; what it has beside OpenAI's four keys is ours."""
    shown: dict[str, object] = {
        "id": model.id,
        "object": "model",
        "created": model.create_time.seconds,
        "owned_by": model.owner,
        "capabilities": [_capability(value) for value in model.capabilities],
    }
    if model.HasField("max_input_tokens"):
        shown["context_length"] = model.max_input_tokens
    if model.HasField("max_completion_tokens"):
        shown["max_output_tokens"] = model.max_completion_tokens
    return shown


def _capability(value: model_pb2.ModelCapability.ValueType) -> str:
    if value not in model_pb2.ModelCapability.values():
        return "unknown"
    return model_pb2.ModelCapability.Name(value).removeprefix(_CAPABILITY_PREFIX).lower()
