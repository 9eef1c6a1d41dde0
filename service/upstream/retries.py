"""Which failures are worth another try, and when. Pure but for the jitter.

The provider knows no idempotency and bills what it generated, so a call is made again only where it
cannot have generated anything: the connection was not made, it said to come back later, or it said
that it failed before it began. A time-out, a proxy's 502, 504 or 52x and a connection that broke
after the request went out say nothing of the kind.
"""

from __future__ import annotations

import random
from typing import Final

from service.upstream.errors import UpstreamError, UpstreamRefused, UpstreamUnavailable

LONGEST_WAIT: Final = 10.0
"""Seconds; a call that is told to come back later than that is refused at once: its caller knows
better than we do whether to wait, and a waiting call takes the place of another."""

_TRIES: Final = {"connect": 2, "rate_limited": 2, "server_error": 1}
_BACK_OFF: Final = {"connect": 0.1, "rate_limited": 0.1, "server_error": 1.0}
_TOO_MANY_REQUESTS: Final = 429


class Retries:
    """The tries that one call has left."""

    def __init__(self) -> None:
        self._made = dict.fromkeys(_TRIES, 0)

    def wait_after(
        self, error: UpstreamError, *, now: float, deadline: float | None
    ) -> tuple[str, float] | None:
        """Return the cause and the seconds to wait before the next try; None if there is none.

        Args:
            error: How the last try failed.
            now: The time, on the clock of the deadline.
            deadline: A wait that does not end before it is not begun.
        """
        cause = _cause(error)
        if cause is None or self._made[cause] == _TRIES[cause]:
            return None
        back_off = _BACK_OFF[cause] * 2 ** self._made[cause]
        wait = back_off * random.uniform(1.0, 1.5)  # noqa: S311  # jitter, not a secret
        if cause == "rate_limited" and isinstance(error, UpstreamRefused):
            wait += error.retry_after or 0.0
        if wait > LONGEST_WAIT or (deadline is not None and now + wait >= deadline):
            return None
        self._made[cause] += 1
        return cause, wait


def _cause(error: UpstreamError) -> str | None:
    if isinstance(error, UpstreamUnavailable) and not error.sent:
        return "connect"
    if not isinstance(error, UpstreamRefused):
        return None
    if error.status == _TOO_MANY_REQUESTS:
        return None if error.retry_after is None else "rate_limited"
    return "server_error" if error.failed_before_it_began else None
