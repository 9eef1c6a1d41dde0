"""A typed body to the request of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.openai_http.messages import add_turns
from service.openai_http.parameters import check_parameters, ignored_parameters
from service.openai_http.parse import parse_chat_body
from service.openai_http.refusals import missing_model, string_too_long

if TYPE_CHECKING:
    from service.openai_http.schema import ChatBody

MODEL_LIMIT: Final = 256
"""Characters of a model id, its suffix not counted."""

ONLINE_SUFFIX: Final = ":online"
"""Switches web search on, as at OpenRouter; it is no part of the id."""

_CARRIED_ON: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")
"""Fields of sampling that have the same name and meaning in the contract."""


class ChatRequest(msgspec.Struct, frozen=True):
    """One decoded chat request.

    Attributes:
        message: What the service is asked for: an answer as a whole, or a stream of one.
        model: The model as the caller named it, a suffix included.
        include_usage: Whether a stream ends with a chunk of usage.
        ignored: Fields that this door knows and cannot honour.
    """

    message: pb.CreateChatCompletionRequest | pb.StreamChatCompletionRequest
    model: str
    include_usage: bool
    ignored: tuple[str, ...]

    @property
    def spec(self) -> chat_pb2.ChatCompletionSpec:
        """The conversation, and how it is to be answered."""
        return self.message.spec

    def shown_model(self, answered: str) -> str:
        """Return the id to answer under: as it was asked for, unless another model answered."""
        return self.model if answered == self.spec.model else answered


def decode_chat_request(data: bytes) -> ChatRequest:
    """Decode the body of a chat request.

    Raises:
        ServiceError: `INVALID_JSON`, `INVALID_FIELD` or `UNSUPPORTED_PARAMETER`, in OpenAI's words.
    """
    body = parse_chat_body(data)
    message = pb.StreamChatCompletionRequest() if body.stream else pb.CreateChatCompletionRequest()
    spec = message.spec
    spec.model = _model_id(body.model)
    add_turns(body.messages, spec)
    check_parameters(body)
    _set_sampling(body, spec)
    if body.web_search_options is not None or spec.model != body.model:
        spec.web_search.SetInParent()
    return ChatRequest(
        message=message,
        model=body.model or "",
        include_usage=body.stream_options is not None and bool(body.stream_options.include_usage),
        ignored=tuple(ignored_parameters(body)),
    )


def _model_id(model: str | None) -> str:
    model_id = (model or "").removesuffix(ONLINE_SUFFIX)
    if not model_id:
        raise missing_model()
    if len(model_id) > MODEL_LIMIT:
        raise string_too_long("model", MODEL_LIMIT, len(model_id))
    return model_id


def _set_sampling(body: ChatBody, spec: chat_pb2.ChatCompletionSpec) -> None:
    for name in _CARRIED_ON:
        if (value := getattr(body, name)) is not None:
            setattr(spec.sampling, name, value)
    limit = _smaller(body.max_tokens, body.max_completion_tokens)
    if limit is not None:
        spec.sampling.max_completion_tokens = limit
    if body.stop:
        stops = [body.stop] if isinstance(body.stop, str) else body.stop
        spec.sampling.stop_sequences.extend(stops)


def _smaller(first: int | None, second: int | None) -> int | None:
    given = [limit for limit in (first, second) if limit is not None]
    return min(given, default=None)
