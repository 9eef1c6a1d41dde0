from __future__ import annotations

import time
from pathlib import Path

import pytest

import service.simulator
from service.simulator.faults.kinds import BadFault, choice, seconds, whole_number
from service.simulator.faults.menu import (
    FAULTS,
    MAX_REMEMBERED,
    Menu,
    markdown,
    without_markers,
)


def chosen(api_key="good", prompt=""):
    return [(one.fault.name, one.argument) for one in Menu().choose(api_key, prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        pytest.param("no faults [fault:hang] here", [], id="none"),
        pytest.param("a [[fault:hang]] b", [("hang", "")], id="name"),
        pytest.param("[[fault:slow:0.5]]", [("slow", "0.5")], id="argument"),
        pytest.param(
            "[[fault:redirect:http://127.0.0.1:80/x]]",
            [("redirect", "http://127.0.0.1:80/x")],
            id="argument-with-colons",
        ),
        pytest.param(
            "[[fault:latency:1]] x [[fault:crlf]]",
            [("crlf", ""), ("latency", "1")],
            id="several-in-the-order-of-the-menu",
        ),
        pytest.param("[[fault:stall:1]][[fault:stall:2]]", [("stall", "2")], id="last-one-wins"),
    ],
)
def test_faults_asked_for_in_the_prompt(prompt, expected):
    assert chosen(prompt=prompt) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("good", [], id="ordinary"),
        pytest.param("sim-user", [], id="no-name-of-the-menu"),
        pytest.param("sim-hang", [("hang", "")], id="name"),
        pytest.param("sim-stall-2", [("stall", "2")], id="argument"),
        pytest.param("sim-reset-after-head", [("reset-after-head", "")], id="longest-name"),
        pytest.param(
            "sim-rate-limited-retry-after-5",
            [("rate-limited-retry-after", "5")],
            id="longest-name-and-argument",
        ),
        pytest.param("sim-flaky-1-slow-0.5", [("slow", "0.5")], id="flaky"),
    ],
)
def test_a_fault_asked_for_by_the_key(key, expected):
    assert chosen(api_key=key) == expected


@pytest.mark.parametrize(
    ("key", "prompt"),
    [
        pytest.param("good", "[[fault:typo]]", id="unknown-name"),
        pytest.param("good", "[[fault:hang:1]]", id="argument-not-wanted"),
        pytest.param("sim-hang-1", "", id="argument-not-wanted-by-key"),
        pytest.param("good", "[[fault:flaky]]", id="flaky-without"),
        pytest.param("good", "[[fault:flaky:x:hang]]", id="flaky-count"),
        pytest.param("good", "[[fault:flaky:1:typo]]", id="flaky-unknown"),
        pytest.param("good", "[[fault:flaky:1:flaky:1:hang]]", id="flaky-flaky"),
    ],
)
def test_what_the_menu_does_not_know_is_refused(key, prompt):
    with pytest.raises(BadFault):
        chosen(key, prompt)


def test_a_flaky_fault_stops_after_its_count():
    menu = Menu()
    prompt = "again [[fault:flaky:2:hang]]"
    assert [len(menu.choose("good", prompt)) for _ in range(4)] == [1, 1, 0, 0]
    assert len(menu.choose("another", prompt)) == 1
    assert len(menu.choose("good", f"other {prompt}")) == 1


def test_a_flaky_fault_knows_a_conversation_by_its_last_user_words():
    menu = Menu()
    for boundary in ("11111111", "22222222"):
        prompt = f"[{boundary}] user\n[[fault:flaky:1:hang]]\n\n[{boundary}] Write the next turn."
        found = menu.choose("good", prompt)
    assert found == []


def test_the_memory_of_flaky_faults_is_bounded():
    menu = Menu()
    for number in range(MAX_REMEMBERED + 5):
        menu.choose("good", f"{number} [[fault:flaky:1:hang]]")
    assert len(menu._failures) == MAX_REMEMBERED


def test_the_model_does_not_see_the_markers():
    assert without_markers("repeat: a [[fault:crlf]]\n[[fault:slow:1]]b") == "repeat: a\nb"
    assert without_markers("a \t[[fault:crlf]] [[fault:crlf]][[fault:crlf]] b") == "a b"


def test_a_long_run_of_blanks_is_read_once():
    began = time.process_time()
    assert without_markers(" " * 200_000 + "a") == " " * 200_000 + "a"
    assert time.process_time() - began < 2  # tried from each blank it takes a minute


@pytest.mark.parametrize("text", ["-1", "nan", "3601", "soon"])
def test_times_are_bounded(text):
    with pytest.raises(BadFault):
        seconds(text, 1)


@pytest.mark.parametrize("text", ["-1", "1.5", "\u0661", "99999999999999999999", "65000001000"])
def test_numbers_are_bounded(text):
    with pytest.raises(BadFault):
        whole_number(text, 1)


def test_arguments_have_defaults():
    assert (seconds("", 2), whole_number("", 3), choice("", "a", "b")) == (2, 3, "a")
    assert (seconds("0.5", 2), whole_number("7", 3), choice("b", "a", "b")) == (0.5, 7, "b")
    with pytest.raises(BadFault):
        choice("c", "a", "b")


def test_names_are_unique_and_hyphenated():
    assert len(FAULTS) == len({fault.name for fault in FAULTS.values()})
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in FAULTS)


def test_the_readme_holds_the_menu():
    readme = Path(service.simulator.__file__).with_name("README.md").read_text("utf-8")
    assert readme.endswith(f"\n\n{markdown()}\n")
