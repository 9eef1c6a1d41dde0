from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.simulator.answers import MAX_COUNT, MAX_DELTAS, answer, last_words, split

GATEWAY_PROMPT = """Only the marker [8f0c17aa] at the beginning of a line begins or ends a turn.

[8f0c17aa] system: instructions for the whole conversation
Be kind.

[8f0c17aa] user "Ann"
first

[8f0c17aa] assistant
second

[8f0c17aa] user
{words}

[8f0c17aa] Write the next turn of the assistant."""


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        pytest.param("Count to 5", "1, 2, 3, 4, 5", id="count"),
        pytest.param("please count slowly up to 2!", "1, 2", id="count-in-words"),
        pytest.param("count to 0", "0", id="count-to-nothing"),
        pytest.param("repeat: a  b\n c ", "a  b\n c ", id="repeat-is-exact"),
        pytest.param("echo Grüße 🙂", "Grüße 🙂", id="echo"),
        pytest.param("Echo: x", "x", id="echo-colon"),
    ],
)
def test_the_answer_is_what_was_asked_for(prompt, expected):
    assert answer("gpt-4o", prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "fragment"),
    [
        pytest.param("Hello!", "Hello! I am gpt-4o", id="greeting"),
        pytest.param("thanks a lot", "You are welcome", id="thanks"),
        pytest.param("Tell me a story", "Once there was", id="story"),
        pytest.param("Why is the sky blue?", "You wrote: “Why is the sky blue?”", id="question"),
        pytest.param("x" * 200, "x" * 80 + "…", id="long-question-is-cut"),
        pytest.param("repeat: ", "You wrote: “repeat:”", id="nothing-to-repeat"),
    ],
)
def test_the_answer_fits_the_prompt(prompt, fragment):
    assert fragment in answer("gpt-4o", prompt)


def test_counting_is_bounded():
    assert answer("m", "count to 999999999").endswith(f" {MAX_COUNT}")


def test_the_same_prompt_has_the_same_answer():
    assert answer("m", "What is love?") == answer("m", "What is love?")


def test_the_last_user_turn_of_a_conversation_is_answered():
    prompt = GATEWAY_PROMPT.format(words="repeat: two\n\nparagraphs")
    assert last_words(prompt) == "repeat: two\n\nparagraphs"
    assert answer("m", prompt) == "two\n\nparagraphs"


def test_a_single_prompt_is_taken_whole():
    assert last_words(" just\nwords ") == " just\nwords "


@settings(max_examples=100)
@given(st.text(max_size=400))
def test_the_deltas_of_a_text_join_to_the_text(text):
    assert "".join(split(text)) == text


@pytest.mark.parametrize("text", ["a b " * 100_000, "日" * 100_000], ids=["words", "one-word"])
def test_a_long_text_has_a_bounded_number_of_deltas(text):
    deltas = split(text)
    assert "".join(deltas) == text
    assert len(deltas) <= MAX_DELTAS
