"""`Alarm`, on a clock that the test advances."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from service.alarm import Alarm


@dataclass
class Timer:
    when: float
    call: object
    cancelled: bool = False

    def cancel(self):
        self.cancelled = True


class Clock:
    """Stands where the event loop stands."""

    def __init__(self):
        self._now = 0.0
        self.timers = []

    def time(self):
        return self._now

    def call_at(self, when, call):
        self.timers.append(Timer(when, call))
        return self.timers[-1]

    @property
    def due(self):
        return sorted(
            (timer for timer in self.timers if not timer.cancelled), key=lambda timer: timer.when
        )

    def advance_to(self, when):
        while self.due and self.due[0].when <= when:
            timer = self.due[0]
            timer.cancelled = True
            self._now = timer.when
            timer.call()
        self._now = when


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def alarm(clock):
    return Alarm(clock)


@pytest.fixture
def rung():
    """When it rang, and for what."""
    return []


@pytest.fixture
def ring(clock, rung):
    return lambda name="it": lambda: rung.append((name, clock.time()))


def test_it_rings_once_when_its_time_has_come(alarm, clock, rung, ring):
    alarm.set(10, ring())
    assert alarm.is_set
    clock.advance_to(9.9)
    assert rung == []
    clock.advance_to(100)
    assert rung == [("it", 10)]
    assert not alarm.is_set


@pytest.mark.parametrize("end", [Alarm.clear, Alarm.close])
def test_what_was_taken_back_does_not_ring(alarm, clock, rung, ring, end):
    alarm.set(10, ring())
    end(alarm)
    assert not alarm.is_set
    clock.advance_to(100)
    assert rung == []


@pytest.mark.parametrize("seconds", [5, 10, 15], ids=["sooner", "as late", "later"])
@pytest.mark.parametrize("between", [None, Alarm.clear, Alarm.close])
def test_what_is_set_last_counts(alarm, clock, rung, ring, between, seconds):
    alarm.set(10, ring("first"))
    if between:
        between(alarm)
    alarm.set(seconds, ring("second"))
    clock.advance_to(100)
    assert rung == [("second", seconds)]


def test_what_it_calls_may_set_it(alarm, clock, rung, ring):
    alarm.set(10, lambda: alarm.set(10, ring()))
    clock.advance_to(100)
    assert rung == [("it", 20)]


def test_one_after_another_share_a_timer(alarm, clock, rung, ring):
    for second in range(10):
        clock.advance_to(second)
        alarm.set(10, ring("head"))
        alarm.set(120, ring("body"))
        alarm.clear()
    assert [timer.when for timer in clock.timers] == [10]
    clock.advance_to(500)
    assert (rung, clock.due) == ([], [])


def test_a_closed_one_leaves_no_timer(alarm, clock, ring):
    alarm.set(10, ring())
    alarm.close()
    assert clock.due == []
