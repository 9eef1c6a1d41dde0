from __future__ import annotations

import pytest

from service.readiness import Readiness, State

STARTING, READY, DRAINING, STOPPING = State


@pytest.mark.parametrize(
    ("state", "is_ready", "accepts_calls"),
    [
        (STARTING, False, True),
        (READY, True, True),
        (DRAINING, False, True),
        (STOPPING, False, False),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_what_each_state_means(state, is_ready, accepts_calls):
    readiness = Readiness()
    readiness.move_to(state)
    assert readiness.state is state
    assert readiness.is_ready is is_ready
    assert readiness.accepts_calls is accepts_calls


@pytest.mark.parametrize(
    ("moves", "seen"),
    [
        ([READY, DRAINING, STOPPING], [STARTING, READY, DRAINING, STOPPING]),
        ([READY, STARTING, READY], [STARTING, READY, STARTING, READY]),
        ([READY, READY], [STARTING, READY]),
        ([DRAINING, READY, STARTING, STOPPING, READY], [STARTING, DRAINING, STOPPING]),
    ],
    ids=["life", "the far side comes and goes", "no change", "the end is final"],
)
def test_listeners_see_the_state_and_each_change(moves, seen):
    readiness = Readiness()
    first, second = [], []
    readiness.listen(first.append)
    readiness.listen(second.append)
    for state in moves:
        readiness.move_to(state)
    assert first == second == seen


def test_listeners_are_told_in_order():
    readiness, told = Readiness(), []
    readiness.listen(lambda state: told.append(("first", state)))
    readiness.listen(lambda state: told.append(("second", state)))
    readiness.move_to(READY)
    assert told[2:] == [("first", READY), ("second", READY)]
