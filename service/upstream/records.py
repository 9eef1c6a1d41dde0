"""The provider's record of an answer, parsed JSON -> `ChatRecord`. Pure.

A success is told in several ways, and so is a failure: HTTP 200 alone says nothing. The status of
the record decides first, then what stands where the answer should be.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from service.upstream.errors import UpstreamMalformed
from service.upstream.payloads import ChatRecord, RecordUsage
from service.upstream.refusals import is_error, refusal_of_object
from service.upstream.untrusted import as_count, as_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from service.upstream.untrusted import JsonObject

_FAILURES: Final = frozenset({"failed", "failure"})
_TEXT_KEYS: Final = ("text", "content", "output", "result", "answer")
_BODY_TEXT_KEYS: Final = ("resultObject", "result", "content", "text")
_FINISH_REASON_LIMIT: Final = 64


def chat_record(body: object) -> ChatRecord:
    """Read the record in `body`, which is a whole answer or the payload of a `result` event.

    Raises:
        UpstreamRefused: It is the record of a failure, or an error instead of a record.
        UpstreamMalformed: It holds no record.
    """
    if not isinstance(body, dict):
        raise UpstreamMalformed("the answer is not a JSON object")
    record = body.get("aiRecord")
    if not isinstance(record, dict):
        return _bare_record(body)
    _refuse_failure(record)
    metadata = as_object(record.get("metadata"))
    return ChatRecord(
        text=_first_text(_places(record, body)),
        finish_reason=_finish_reason(metadata.get("finishReason")),
        usage=_usage(metadata),
    )


def _bare_record(body: JsonObject) -> ChatRecord:
    if is_error(body):
        raise refusal_of_object(body)
    _refuse_error_object(body.get("resultObject"))
    if not any(key in body for key in _BODY_TEXT_KEYS):
        raise UpstreamMalformed("the answer holds no record")
    return ChatRecord(text=_first_text([body.get(key) for key in _BODY_TEXT_KEYS]))


def _places(record: JsonObject, body: JsonObject) -> Iterator[object]:
    detail = as_object(record.get("aiRecordDetail"))
    yield detail.get("resultObject")
    yield detail.get("responseObject")
    yield record.get("resultObject")
    yield record.get("result")
    for key in _BODY_TEXT_KEYS:
        yield body.get(key)


def _refuse_failure(record: JsonObject) -> None:
    detail = as_object(record.get("aiRecordDetail"))
    result = detail.get("resultObject") or record.get("resultObject")
    status = record.get("status")
    if isinstance(status, str) and status.lower() in _FAILURES:
        told = record.get("errorMessage") or detail.get("errorMessage")
        cause = dict(as_object(result))
        raise refusal_of_object({**cause, "message": told} if told else cause)
    _refuse_error_object(result)


def _refuse_error_object(result: object) -> None:
    if not isinstance(result, dict):
        return
    has_text = any(isinstance(result.get(key), str) for key in _TEXT_KEYS)
    if not has_text and (
        {"code", "message"} <= result.keys() or {"name", "error"} <= result.keys()
    ):
        raise refusal_of_object(result)


def _first_text(places: Iterable[object]) -> str | None:
    first = None
    for place in places:
        text = _text(place)
        if text:
            return text
        first = text if first is None else first
    return first


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        # Objects beside the strings are citations of a web search.
        parts = [part for part in value if isinstance(part, str)]
        return "".join(parts) if parts else None
    if not isinstance(value, dict):
        return None
    found = (value.get(key) for key in (*_TEXT_KEYS, "message"))
    return next((text for text in found if isinstance(text, str)), None)


def _finish_reason(value: object) -> str | None:
    return value.lower()[:_FINISH_REASON_LIMIT] if isinstance(value, str) and value else None


def _usage(metadata: JsonObject) -> RecordUsage | None:
    prompt, completion, total = (
        as_count(metadata.get(key)) for key in ("inputToken", "outputToken", "totalToken")
    )
    if prompt is None or completion is None or not total:
        return None
    return RecordUsage(prompt, completion, _price(metadata.get("credit")))


def _price(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
