from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.translation.crawl import MARK
from service.translation.stream import AnswerStream
from service.upstream.errors import UpstreamMalformed, UpstreamTruncated
from service.upstream.payloads import (
    ChatRecord,
    ContentEvent,
    DoneEvent,
    ResultEvent,
    SkippedEvent,
)

DONE = DoneEvent()
SKIPPED = SkippedEvent()


def texts(*pieces):
    return [ContentEvent(piece) for piece in pieces]


def result(text):
    return ResultEvent(ChatRecord(text))


def play(events, *, web_search=False):
    """Return what a stream hands on, event by event, and then at its close."""
    stream = AnswerStream(web_search=web_search)
    passed = [stream.feed(event) for event in events]
    return stream, [*passed, stream.close()]


WHOLE = {
    "plain": ([*texts("a", "b"), result("ab"), DONE], "ab"),
    "bracketed by empty contents": ([*texts("", "a", "b", ""), result("ab"), DONE], "ab"),
    "no done": ([*texts("a", "b"), result("ab")], "ab"),
    "no record": ([*texts("a", "b"), DONE], "ab"),
    "record only": ([result("ab"), DONE], "ab"),
    "the record continues": ([*texts("a"), result("ab"), DONE], "ab"),
    "the record differs": ([*texts("a", "b"), result("other"), DONE], "ab"),
    "the record is shorter": ([*texts("a", "b"), result("a"), DONE], "ab"),
    "the record has no text": ([*texts("a", "b"), result(None), DONE], "ab"),
    "repeat of the whole": ([*texts("a", "b", "ab"), result("ab"), DONE], "ab"),
    "repeat, then an empty content": ([*texts("a", "b", "ab", ""), result("ab"), DONE], "ab"),
    "repeat without a record": ([*texts("a", "b", "ab"), DONE], "ab"),
    "repeat with a record that tells nothing": ([*texts("a", "b", "ab"), result(None)], "ab"),
    "twice the same at the end": ([*texts("ha", "ha"), result("haha"), DONE], "haha"),
    "twice the same in the middle": ([*texts("ha", "ha", "!"), result("haha!"), DONE], "haha!"),
    "twice the same slice": (
        [ContentEvent("ha", sliced=True), ContentEvent("ha", sliced=True), DONE],
        "haha",
    ),
    "three times the same": ([*texts("ha", "ha", "ha"), result("hahaha"), DONE], "hahaha"),
    "repeat of a repeat": ([*texts("ha", "ha", "haha"), result("haha"), DONE], "haha"),
    "an unread event, proved harmless": ([*texts("a", "b"), SKIPPED, result("ab")], "ab"),
    "an unread event, the tail in the record": ([*texts("a"), SKIPPED, result("ab")], "ab"),
    "done before the record": ([*texts("a"), DONE, result("a")], "a"),
}


@pytest.mark.parametrize(("events", "expected"), WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_is_handed_on_once(events, expected):
    stream, passed = play(events)

    stream.check_whole()
    assert "".join(passed) == expected
    assert stream.accepted


BROKEN = {
    "nothing came": ([], "", UpstreamTruncated),
    "no record and no done": (texts("a", "b"), "ab", UpstreamTruncated),
    "cut while a repeat was held": (texts("ha", "ha"), "ha", UpstreamTruncated),
    "an unread event": ([*texts("a"), SKIPPED, *texts("c"), DONE], "ac", UpstreamMalformed),
    "an unread event that was a piece": (
        [*texts("a"), SKIPPED, *texts("c"), result("abc"), DONE],
        "ac",
        UpstreamMalformed,
    ),
    "an unread event, a record without a text": (
        [*texts("a"), SKIPPED, result(None), DONE],
        "a",
        UpstreamMalformed,
    ),
    "only unread events": ([SKIPPED, DONE], "", UpstreamMalformed),
}


@pytest.mark.parametrize(("events", "expected", "error"), BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_never_called_whole(events, expected, error):
    stream, passed = play(events)

    assert "".join(passed) == expected
    with pytest.raises(error):
        stream.check_whole()


ACCEPTANCE = {
    "an empty content": (ContentEvent(""), True),
    "a content": (ContentEvent("a"), True),
    "a record": (result("a"), True),
    "done": (DONE, False),
    "an unread event": (SKIPPED, False),
}


@pytest.mark.parametrize(("event", "accepted"), ACCEPTANCE.values(), ids=ACCEPTANCE)
def test_what_proves_that_the_provider_accepted(event, accepted):
    assert play([event])[0].accepted is accepted


def test_text_is_handed_on_as_it_comes():
    _, passed = play([*texts("ha", "ha", "!", ""), result("haha!"), DONE])

    assert passed == ["ha", "", "ha!", "", "", "", ""]


SEARCHED = {
    "the record without progress lines": (
        [*texts(f"{MARK} a\n", "\n", "An answer."), result("An answer."), DONE],
        "An answer.",
    ),
    "the record with them": (
        [*texts(f"{MARK} a\n", "An answer."), result(f"{MARK} a\nAn answer."), DONE],
        "An answer.",
    ),
    "the record has the tail": (
        [*texts(f"{MARK} a\nAn "), result("An answer."), DONE],
        "An answer.",
    ),
    "repeat with progress lines": (
        [*texts(f"{MARK} a\nAn answer.", f"{MARK} a\nAn answer."), result("An answer."), DONE],
        "An answer.",
    ),
    "an unread event, proved harmless": (
        [*texts(f"{MARK} a\n", "An answer."), SKIPPED, result("An answer."), DONE],
        "An answer.",
    ),
    "the answer ends like a mark": ([*texts("See\n🌐"), DONE], "See\n🌐"),
}


@pytest.mark.parametrize(("events", "expected"), SEARCHED.values(), ids=SEARCHED)
def test_a_searched_answer_has_no_progress_lines(events, expected):
    stream, passed = play(events, web_search=True)

    stream.check_whole()
    assert "".join(passed) == expected


def test_progress_lines_stay_when_no_search_was_asked_for():
    _, passed = play([*texts(f"{MARK} a\nAn answer."), DONE])

    assert "".join(passed) == f"{MARK} a\nAn answer."


EVENTS = st.lists(
    st.one_of(
        st.sampled_from(["", "a", "ha", "haha", "b\n", MARK]).map(ContentEvent),
        st.sampled_from(["", "a", "ha", "haha", None]).map(result),
        st.just(DONE),
        st.just(SKIPPED),
    )
)


@given(events=EVENTS, web_search=st.booleans())
def test_any_order_of_events_is_handed_on_without_invention(events, web_search):
    """Whatever comes, what is handed on is a part of what was given, in its order."""
    stream, passed = play(events, web_search=web_search)

    given_text = "".join(event.text for event in events if isinstance(event, ContentEvent))
    records = [event.record.text or "" for event in events if isinstance(event, ResultEvent)]
    assert _is_subsequence("".join(passed), given_text + (records[-1] if records else ""))
    try:
        stream.check_whole()
    except (UpstreamTruncated, UpstreamMalformed):
        return
    assert records or DONE in events


def _is_subsequence(part, whole):
    characters = iter(whole)
    return all(character in characters for character in part)
