from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onemin.inference.v1 import chat_pb2
from service.inference.limits import PIECE, AnswerLimits
from service.inference.tokens import TokenCounter

STOP = chat_pb2.FINISH_REASON_STOP
LENGTH = chat_pb2.FINISH_REASON_LENGTH
ENCODING = TokenCounter().encoding_for("gpt-4o", "openai")


def cut(pieces, *, stop=(), limit=None):
    """Return what passes of an answer that comes in pieces, and why it was cut."""
    sampling = chat_pb2.SamplingConfig(stop_sequences=stop, max_completion_tokens=limit)
    limits = AnswerLimits(sampling, ENCODING)
    passed = []
    for piece in pieces:
        passed.append(limits.feed(piece))
        if limits.finish_reason:
            return "".join(passed), limits
    passed.append(limits.close())
    return "".join(passed), limits


CASES = {
    "no limits": ("one two", (), None, "one two", None),
    "a stop in the middle": ("one two three", ["two"], None, "one ", STOP),
    "a stop at the begin": ("one two", ["one"], None, "", STOP),
    "a stop at the end": ("one two", ["two"], None, "one ", STOP),
    "no stop met": ("one two", ["three"], None, "one two", None),
    "the earliest of several": ("one two three", ["three", "two"], None, "one ", STOP),
    "stops that overlap": ("xabcx", ["abcd", "c"], None, "xab", STOP),
    "the longer begins earlier": ("xabcdx", ["abcd", "c"], None, "x", STOP),
    "ends like a stop": ("one tw", ["two"], None, "one tw", None),
    "fewer tokens than the limit": ("one two", (), 3, "one two", None),
    "as many tokens as the limit": ("one two", (), 2, "one two", None),
    "more tokens than the limit": ("one two three", (), 2, "one two", LENGTH),
    "a limit of one": ("one two", (), 1, "one", LENGTH),
    "the stop comes before the limit": ("one two three", ["two"], 2, "one ", STOP),
    "the limit comes before the stop": ("one two three", ["three"], 1, "one", LENGTH),
    "within a character": ("🧑‍🚀", (), 1, "", LENGTH),
    "a text without spaces": ("日本語" * 40, (), 5, None, LENGTH),
    "an empty answer": ("", ["a"], 1, "", None),
}


@pytest.mark.parametrize(("text", "stop", "limit", "expected", "reason"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("split", [str, list], ids=["whole", "by character"])
def test_an_answer_ends_at_its_limits(text, stop, limit, expected, reason, split):
    pieces = [text] if split is str else split(text)
    passed, limits = cut(pieces, stop=stop, limit=limit)

    assert limits.finish_reason == reason
    if expected is not None:
        assert passed == expected


WORDS = st.text(alphabet="ab \n日🧑'1.", max_size=200)


@given(
    text=WORDS,
    borders=st.lists(st.integers(0, 200)),
    stop=st.lists(st.text(alphabet="ab \n", min_size=1, max_size=4), max_size=4),
    limit=st.none() | st.integers(1, 40),
)
@example(text="a" * 65 + " b", borders=[64, 65], stop=[], limit=3)
def test_equal_answers_are_cut_equally_however_they_come(text, borders, stop, limit):
    whole, whole_limits = cut([text], stop=stop, limit=limit)
    edges = [0, *sorted(min(border, len(text)) for border in borders), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    streamed, stream_limits = cut(pieces, stop=stop, limit=limit)

    assert streamed == whole
    assert stream_limits.finish_reason == whole_limits.finish_reason
    assert stream_limits.tokens == whole_limits.tokens
    assert text.startswith(whole)
    assert not any(sequence in whole for sequence in stop)
    if limit:
        assert stream_limits.tokens <= limit


@given(text=st.text(alphabet="ab c\nDe.,'1", max_size=300))
def test_words_are_counted_as_the_encoding_counts_the_whole(text):
    """Word by word is the same as at once, while no word is longer than a piece."""
    if max(map(len, text.split()), default=0) >= PIECE or "  " in text or "\n" in text:
        text = " ".join(text.split())[: PIECE - 1]
    _, limits = cut([text], limit=10_000)

    assert limits.tokens == ENCODING.count(text)


def test_text_flows_word_by_word_under_a_limit_of_tokens():
    sampling = chat_pb2.SamplingConfig(max_completion_tokens=100)
    limits = AnswerLimits(sampling, ENCODING)

    assert [limits.feed(text) for text in ("One", " two", " th", "ree ", "a" * 100)] == [
        "",
        "One",
        " two",
        " three",
        " " + "a" * (PIECE - 1),
    ]


@pytest.mark.parametrize(
    "sampling", [{"stop_sequences": ["END"]}, {"max_completion_tokens": 1}], ids=["stop", "tokens"]
)
def test_nothing_follows_a_cut(sampling):
    limits = AnswerLimits(chat_pb2.SamplingConfig(**sampling), ENCODING)
    limits.feed("one END two")
    reason, used = limits.finish_reason, limits.tokens
    assert reason is not None
    assert limits.feed(" three") + limits.close() == ""
    assert (limits.finish_reason, limits.tokens) == (reason, used)


def test_only_what_may_become_a_stop_sequence_is_held_back():
    limits = AnswerLimits(chat_pb2.SamplingConfig(stop_sequences=["END"]), ENCODING)

    assert [limits.feed(text) for text in ("one E", "N", "E", "END")] == ["one ", "", "EN", "E"]
    assert limits.finish_reason == STOP
