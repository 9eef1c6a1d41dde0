"""Faults in what is said: failures and odd answers under status 200."""

from __future__ import annotations

from itertools import accumulate

from service.simulator.faults.kinds import MAX_BYTES, SpeechFault, choice, whole_number
from service.simulator.speech import Speech, Verbatim

_TEXT_KEYS = ("text", "content", "output", "result", "answer")
_BARE_PLACES = (
    "result",
    "resultObject",
    "content",
    "text",
    "aiRecord.result",
    "aiRecord.resultObject",
)
_MIDDLE_OF_RECORD = '{"aiRecord": {"uuid": "7d0f6f52-4b5e-4d53-9a64-1c2f0b9a3e03", "status": "SUC'


def _double_middle(speech: Speech, _argument: str) -> None:
    speech.say("ha", "ha", "!")


def _double_end(speech: Speech, _argument: str) -> None:
    speech.say("ha", "ha")


def _giant_event(speech: Speech, argument: str) -> None:
    speech.say("x" * whole_number(argument, 1024 * 1024, MAX_BYTES))


def _empty(speech: Speech, _argument: str) -> None:
    speech.say()
    speech.replace_result([])


def _cumulative(speech: Speech, _argument: str) -> None:
    speech.contents = list(accumulate(str(text) for text in speech.contents[:-1]))


def _repeat(speech: Speech, _argument: str) -> None:
    speech.contents[-1:] = [speech.text, ""]


def _result_only(speech: Speech, _argument: str) -> None:
    speech.contents = []


def _result_mismatch(speech: Speech, _argument: str) -> None:
    speech.replace_result(["Something else altogether."])


def _result_longer(speech: Speech, _argument: str) -> None:
    speech.replace_result([f"{speech.text} And one more sentence."])


def _fail(speech: Speech, status: str) -> None:
    speech.contents = []
    speech.replace_result([])
    speech.record["status"] = status
    speech.record["metadata"] = None
    speech.record["errorMessage"] = "The provider did not answer"


def _failed_status(speech: Speech, _argument: str) -> None:
    _fail(speech, "FAILED")


def _failure_status(speech: Speech, _argument: str) -> None:
    _fail(speech, "FAILURE")


def _refuse_inside(speech: Speech, code: str, message: str) -> None:
    speech.contents = []
    speech.replace_result({"code": code, "message": message})
    speech.record["metadata"] = None


def _credits_in_result(speech: Speech, _argument: str) -> None:
    message = "The feature requires 1726 credits, but the Simulated team only has 139 credits"
    _refuse_inside(speech, "INSUFFICIENT_CREDITS", message)


def _moderation_in_result(speech: Speech, _argument: str) -> None:
    message = "The request was rejected by content moderation"
    _refuse_inside(speech, "CONTENT_MODERATION", message)


def _null_result(speech: Speech, _argument: str) -> None:
    speech.contents = []
    speech.replace_result(None)


def _string_result(speech: Speech, _argument: str) -> None:
    speech.replace_result(speech.text)


def _object_result(speech: Speech, argument: str) -> None:
    speech.replace_result({choice(argument, *_TEXT_KEYS): speech.text})


def _multi_part(speech: Speech, _argument: str) -> None:
    middle = len(speech.text) // 2
    speech.replace_result([speech.text[:middle], speech.text[middle:]])


def _no_usage(speech: Speech, _argument: str) -> None:
    speech.record["metadata"] = None


def _zero_usage(speech: Speech, _argument: str) -> None:
    counters = dict.fromkeys(speech.record["metadata"] or {}, 0)
    counters.pop("finishReason", None)
    speech.record["metadata"] = counters


def _finish(speech: Speech, reason: str) -> None:
    speech.record["metadata"] = {**(speech.record["metadata"] or {}), "finishReason": reason}


def _finish_length(speech: Speech, _argument: str) -> None:
    _finish(speech, "MAX_TOKENS")


def _finish_safety(speech: Speech, _argument: str) -> None:
    _finish(speech, "SAFETY")


def _wrong_types(speech: Speech, _argument: str) -> None:
    speech.contents = [42 for _ in speech.contents]
    speech.replace_result(42)
    speech.record.update(uuid=17, status=["SUCCESS"], metadata="none", model=None)


def _message_in_result(speech: Speech, _argument: str) -> None:
    speech.payload["message"] = "Stream completed"


def _bare_result(speech: Speech, argument: str) -> None:
    *outside, key = choice(argument, *_BARE_PLACES).split(".")
    bare = {key: speech.text}
    speech.payload = {outside[0]: bare} if outside else bare


def _invalid_json(speech: Speech, _argument: str) -> None:
    speech.payload = Verbatim(_MIDDLE_OF_RECORD)


SPEECH_FAULTS = (
    SpeechFault("double-middle", 'says "haha!" as "ha", "ha", "!"', edit=_double_middle),
    SpeechFault("double-end", 'says "haha" as "ha", "ha"', edit=_double_end),
    SpeechFault(
        "giant-event", "a single delta of that many bytes", "BYTES=1048576", edit=_giant_event
    ),
    SpeechFault("empty", "success without any text", edit=_empty),
    SpeechFault(
        "cumulative",
        "every content event holds the text so far",
        streams_only=True,
        edit=_cumulative,
    ),
    SpeechFault("repeat", "the whole text is repeated at the end", streams_only=True, edit=_repeat),
    SpeechFault(
        "result-only",
        "no content events, the text is in the record",
        streams_only=True,
        edit=_result_only,
    ),
    SpeechFault(
        "result-mismatch",
        "the record tells another text",
        streams_only=True,
        edit=_result_mismatch,
    ),
    SpeechFault(
        "result-longer",
        "the record continues what was sent",
        streams_only=True,
        edit=_result_longer,
    ),
    SpeechFault("failed-status", "record with status FAILED and no text", edit=_failed_status),
    SpeechFault("failure-status", "record with status FAILURE and no text", edit=_failure_status),
    SpeechFault(
        "credits-in-result", "INSUFFICIENT_CREDITS in place of the text", edit=_credits_in_result
    ),
    SpeechFault(
        "moderation-in-result",
        "CONTENT_MODERATION in place of the text",
        edit=_moderation_in_result,
    ),
    SpeechFault("null-result", "`resultObject` is null, no text", edit=_null_result),
    SpeechFault("string-result", "`resultObject` is a string", edit=_string_result),
    SpeechFault(
        "object-result",
        "`resultObject` is an object with the text under KEY: " + ", ".join(_TEXT_KEYS),
        "KEY=text",
        edit=_object_result,
    ),
    SpeechFault("multi-part", "`resultObject` holds the text in two parts", edit=_multi_part),
    SpeechFault("no-usage", "`metadata` is null", edit=_no_usage),
    SpeechFault("zero-usage", "all counters are 0, no finish reason", edit=_zero_usage),
    SpeechFault("finish-length", "finish reason MAX_TOKENS", edit=_finish_length),
    SpeechFault("finish-safety", "finish reason SAFETY", edit=_finish_safety),
    SpeechFault("wrong-types", "numbers and lists where texts belong", edit=_wrong_types),
    SpeechFault(
        "message-in-result",
        "the `result` event has a `message`, too",
        streams_only=True,
        edit=_message_in_result,
    ),
    SpeechFault(
        "bare-result",
        "an older body, the text at PLACE: " + ", ".join(_BARE_PLACES),
        "PLACE=result",
        edit=_bare_result,
    ),
    SpeechFault("invalid-json", "the record breaks off in the middle", edit=_invalid_json),
)
