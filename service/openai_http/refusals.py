"""OpenAI's words for what is wrong with a request.

Each function returns a `ServiceError` whose `param` is the path of the field and whose `code` is
OpenAI's (https://platform.openai.com/docs/guides/error-codes). Values that are quoted back are cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from service.errors import Reason, ServiceError, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

QUOTE_LIMIT: Final = 64
"""Characters of a caller's value that an error quotes back."""

Number: TypeAlias = int | float
NumberKind: TypeAlias = Literal["decimal", "integer"]


def missing_parameter(path: str) -> ServiceError:
    """Return the refusal of a request without a required field."""
    return ServiceError.invalid_field(
        path, f"Missing required parameter: '{path}'.", "missing_required_parameter"
    )


def missing_model() -> ServiceError:
    """Return the refusal of a request without a model; it names no field."""
    return ServiceError(Reason.INVALID_FIELD, "you must provide a model parameter")


def invalid_type(path: str, expected: str, got: str) -> ServiceError:
    """Return the refusal of a value of the wrong JSON type; both types are phrases."""
    text = f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    return ServiceError.invalid_field(path, text, "invalid_type")


def invalid_value(path: str, value: str, supported: Sequence[str]) -> ServiceError:
    """Return the refusal of a value that is none of those that exist."""
    text = f"Invalid value: '{quoted(value)}'. {_supported(supported)}"
    return ServiceError.invalid_field(path, text, "invalid_value")


def out_of_range(path: str) -> ServiceError:
    """Return the refusal of a number that no number type of the contract holds."""
    return ServiceError.invalid_field(
        path, f"Invalid '{path}': number out of range.", "invalid_value"
    )


def above_maximum(path: str, kind: NumberKind, limit: Number, value: Number) -> ServiceError:
    """Return the refusal of a number over its limit."""
    text = (
        f"Invalid '{path}': {kind} above maximum value. "
        f"Expected a value <= {_number(limit)}, but got {_number(value)} instead."
    )
    return ServiceError.invalid_field(path, text, f"{kind}_above_max_value")


def below_minimum(path: str, kind: NumberKind, limit: Number, value: Number) -> ServiceError:
    """Return the refusal of a number under its limit."""
    text = (
        f"Invalid '{path}': {kind} below minimum value. "
        f"Expected a value >= {_number(limit)}, but got {_number(value)} instead."
    )
    return ServiceError.invalid_field(path, text, f"{kind}_below_min_value")


def empty_array(path: str) -> ServiceError:
    """Return the refusal of an array that must not be empty."""
    text = (
        f"Invalid '{path}': empty array. "
        "Expected an array with minimum length 1, but got an empty array instead."
    )
    return ServiceError.invalid_field(path, text, "empty_array")


def array_too_long(path: str, limit: int, length: int) -> ServiceError:
    """Return the refusal of an array over its limit."""
    text = (
        f"Invalid '{path}': array too long. Expected an array with maximum length {limit}, "
        f"but got an array with length {length} instead."
    )
    return ServiceError.invalid_field(path, text, "array_above_max_length")


def object_too_large(path: str, limit: int, size: int) -> ServiceError:
    """Return the refusal of an object with too many properties."""
    text = (
        f"Invalid '{path}': too many properties. Expected an object with at most {limit} "
        f"properties, but got an object with {size} properties instead."
    )
    return ServiceError.invalid_field(path, text, "object_above_max_properties")


def empty_string(path: str) -> ServiceError:
    """Return the refusal of a string that must not be empty."""
    text = (
        f"Invalid '{path}': empty string. "
        "Expected a string with minimum length 1, but got an empty string instead."
    )
    return ServiceError.invalid_field(path, text, "empty_string")


def string_too_long(path: str, limit: int, length: int) -> ServiceError:
    """Return the refusal of a string over its limit, in characters."""
    text = (
        f"Invalid '{path}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {length} instead."
    )
    return ServiceError.invalid_field(path, text, "string_above_max_length")


def unsupported_parameter(path: str) -> ServiceError:
    """Return the refusal of a field that cannot be honoured and must not be ignored."""
    text = f"Unsupported parameter: '{path}' is not supported with this model."
    return ServiceError(Reason.UNSUPPORTED_PARAMETER, text, violations=[Violation(path, text)])


def unsupported_value(path: str, value: str, only: str) -> ServiceError:
    """Return the refusal of a value that exists but cannot be honoured; `only` can."""
    text = (
        f"Unsupported value: '{path}' does not support {quoted(value)} with this model. "
        f"Only the default ({only}) value is supported."
    )
    return ServiceError(
        Reason.UNSUPPORTED_PARAMETER, text, violations=[Violation(path, text, "unsupported_value")]
    )


def quoted(value: str) -> str:
    """Return a caller's value, cut to what an error may quote."""
    return value if len(value) <= QUOTE_LIMIT else f"{value[:QUOTE_LIMIT]}…"


def _supported(values: Sequence[str]) -> str:
    *others, last = (f"'{value}'" for value in values)
    if not others:
        return f"Supported values are: {last}."
    comma = "," if len(others) > 1 else ""
    return f"Supported values are: {', '.join(others)}{comma} and {last}."


def _number(value: Number) -> str:
    text = str(value)
    return quoted(text.removesuffix(".0"))
