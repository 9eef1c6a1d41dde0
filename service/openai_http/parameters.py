"""The fields of a chat request beside the conversation: their ranges, and what becomes of them.

A field is honoured (`decode` carries it on), refused (an answer that ignored it would break the
caller far from the cause), or checked and then named in the header `x-onemin-ignored-params`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.errors import Reason, ServiceError, Violation
from service.openai_http.refusals import (
    Number,
    NumberKind,
    above_maximum,
    array_too_long,
    below_minimum,
    empty_string,
    invalid_value,
    missing_parameter,
    object_too_large,
    string_too_long,
    unsupported_parameter,
    unsupported_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.openai_http.schema import ChatBody

_INT32: Final = (1 << 31) - 1
_INT64: Final = (1 << 63) - 1

DECIMALS: Final[tuple[tuple[str, Number, Number], ...]] = (
    ("temperature", 0, 2),
    ("top_p", 0, 1),
    ("presence_penalty", -2, 2),
    ("frequency_penalty", -2, 2),
)
INTEGERS: Final[tuple[tuple[str, Number, Number], ...]] = (
    ("max_tokens", 1, _INT32),
    ("max_completion_tokens", 1, _INT32),
    ("seed", -_INT64 - 1, _INT64),
    ("n", 1, 128),
    ("top_logprobs", 0, 20),
)
WORDS: Final = (
    ("reasoning_effort", ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    ("service_tier", ("auto", "default", "flex", "scale", "priority", "fast")),
    ("verbosity", ("low", "medium", "high")),
)
SEARCH_SIZES: Final = ("low", "medium", "high")
_FORMATS: Final = ("text", "json_object", "json_schema")
_CHOICES: Final = ("none", "auto", "required")
_MODALITIES: Final = ("text", "audio")

STOPS_LIMIT: Final = 4
STOP_LIMIT: Final = 256
IDENTIFIER_LIMIT: Final = 64
METADATA_LIMIT: Final = 16
METADATA_KEY_LIMIT: Final = 64
METADATA_VALUE_LIMIT: Final = 512
BIAS_LIMIT: Final = 100

_NEUTRAL: Final[dict[str, tuple[object, ...]]] = {
    "logit_bias": ({},),
    "metadata": ({},),
    "moderation": ({},),
    "parallel_tool_calls": (True,),
    "prediction": (),
    "prompt_cache_key": ("",),
    "prompt_cache_options": ({},),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "safety_identifier": ("",),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "user": ("",),
    "verbosity": ("medium",),
}
"""Fields that cannot be honoured, with the values that mean the same as not giving them. The
sampling fields are missing: the service names those itself, for both doors."""


def check_parameters(body: ChatBody) -> None:
    """Check ranges, and refuse what must not be ignored.

    Raises:
        ServiceError: `INVALID_FIELD` or `UNSUPPORTED_PARAMETER`.
    """
    for name, low, high in DECIMALS:
        if (decimal := getattr(body, name)) is not None:
            _check_number(name, "decimal", decimal, low, high)
    for name, low, high in INTEGERS:
        if (integer := getattr(body, name)) is not None:
            _check_number(name, "integer", integer, low, high)
    for name, words in WORDS:
        _check_word(name, getattr(body, name), words)
    _check_stop(body)
    _check_maps(body)
    _check_stream_options(body)
    _refuse_tools(body)
    _refuse_forms(body)


def ignored_parameters(body: ChatBody) -> Iterator[str]:
    """Yield the names of fields that were given, mean something, and are not honoured here."""
    for name, neutral in _NEUTRAL.items():
        value = getattr(body, name)
        if value is not None and value not in neutral:
            yield name
    if body.stream_options is not None and body.stream_options.include_obfuscation:
        yield "stream_options.include_obfuscation"
    search = body.web_search_options
    if search is not None and search.user_location:
        yield "web_search_options.user_location"
    if search is not None and search.search_context_size not in (None, "medium"):
        yield "web_search_options.search_context_size"


def _check_number(name: str, kind: NumberKind, value: Number, low: Number, high: Number) -> None:
    if value > high:
        raise above_maximum(name, kind, high, value)
    if value < low:
        raise below_minimum(name, kind, low, value)


def _check_word(name: str, value: str | None, words: tuple[str, ...]) -> None:
    if value is not None and value not in words:
        raise invalid_value(name, value, words)


def _check_length(path: str, value: str | None, limit: int) -> None:
    if value is not None and len(value) > limit:
        raise string_too_long(path, limit, len(value))


def _check_stop(body: ChatBody) -> None:
    if body.stop is None:
        return
    if isinstance(body.stop, str):
        _check_stop_text("stop", body.stop)
        return
    if len(body.stop) > STOPS_LIMIT:
        raise array_too_long("stop", STOPS_LIMIT, len(body.stop))
    for index, text in enumerate(body.stop):
        _check_stop_text(f"stop[{index}]", text)


def _check_stop_text(path: str, text: str) -> None:
    if not text:
        raise empty_string(path)
    _check_length(path, text, STOP_LIMIT)


def _check_maps(body: ChatBody) -> None:
    _check_length("safety_identifier", body.safety_identifier, IDENTIFIER_LIMIT)
    metadata = body.metadata or {}
    if len(metadata) > METADATA_LIMIT:
        raise object_too_large("metadata", METADATA_LIMIT, len(metadata))
    for key, value in metadata.items():
        _check_length("metadata", key, METADATA_KEY_LIMIT)
        _check_length("metadata", value, METADATA_VALUE_LIMIT)
    for bias in (body.logit_bias or {}).values():
        _check_number("logit_bias", "decimal", bias, -BIAS_LIMIT, BIAS_LIMIT)
    if body.web_search_options is not None:
        size = body.web_search_options.search_context_size
        _check_word("web_search_options.search_context_size", size, SEARCH_SIZES)


def _check_stream_options(body: ChatBody) -> None:
    if body.stream_options is not None and not body.stream:
        raise ServiceError.invalid_field(
            "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        )


def _refuse_tools(body: ChatBody) -> None:
    if body.tools:
        raise unsupported_parameter("tools")
    if body.functions:
        raise unsupported_parameter("functions")
    if isinstance(body.tool_choice, str):
        _check_word("tool_choice", body.tool_choice, _CHOICES)
    if body.tool_choice not in (None, "none"):
        raise ServiceError.invalid_field(
            "tool_choice", "'tool_choice' is only allowed when 'tools' are specified."
        )
    if body.function_call not in (None, "none"):
        raise ServiceError.invalid_field(
            "function_call", "'function_call' is only allowed when 'functions' are specified."
        )


def _refuse_forms(body: ChatBody) -> None:
    if body.n is not None and body.n != 1:
        raise unsupported_value("n", str(body.n), "1")
    if body.logprobs:
        raise unsupported_parameter("logprobs")
    if body.top_logprobs is not None:
        raise unsupported_parameter("top_logprobs")
    if body.audio is not None:
        raise unsupported_parameter("audio")
    for modality in body.modalities or ():
        _check_word("modalities", modality, _MODALITIES)
        if modality == "audio":
            raise unsupported_value("modalities", modality, "text")
    if body.response_format is not None:
        _refuse_format(body.response_format.type)


def _refuse_format(kind: str | None) -> None:
    path = "response_format.type"
    if kind is None:
        raise missing_parameter(path)
    _check_word(path, kind, _FORMATS)
    if kind != "text":
        text = (
            f"Invalid parameter: 'response_format' of type '{kind}' is not supported with this "
            "model."
        )
        violation = Violation("response_format", text, "unsupported_value")
        raise ServiceError(Reason.UNSUPPORTED_PARAMETER, text, violations=[violation])
