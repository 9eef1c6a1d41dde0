"""The timers that parts of the gateway set on the running loop."""

from __future__ import annotations

import asyncio


def timers_of(owner, monkeypatch):
    """Return a list that grows with each timer that calls a method of an `owner`.

    A loop that tests share has others, of what else runs in it.
    """
    loop = asyncio.get_running_loop()
    call_at, timers = loop.call_at, []

    def noting(when, callback, *rest, **options):
        timer = call_at(when, callback, *rest, **options)
        if isinstance(getattr(callback, "__self__", None), owner):
            timers.append(timer)
        return timer

    monkeypatch.setattr(loop, "call_at", noting)
    return timers
