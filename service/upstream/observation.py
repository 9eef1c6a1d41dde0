"""What a request to the provider leaves in metrics and logs: how it ended and how long it took.

Outcomes, the values of the label `outcome`:

    ok              the answer was complete
    refused_STATUS  an error of the provider, `refused_429`; `refused_200` came inside a success
    unavailable  malformed  timeout  stalled  truncated     as in `service.upstream.errors`
    incomplete      a stream that ended without its completion
    cancelled       the caller left before the end
    failed          a bug of ours

Statuses are three digits long, so that the label stays bounded. No key, prompt or text is logged.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog

from service.upstream.errors import (
    UpstreamError,
    UpstreamMalformed,
    UpstreamRefused,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.observability.metrics import Metrics

_log: Final[Any] = structlog.get_logger()

_OUTCOMES: Final[dict[type[UpstreamError], str]] = {
    UpstreamUnavailable: "unavailable",
    UpstreamMalformed: "malformed",
    UpstreamTimeout: "timeout",
    UpstreamStalled: "stalled",
    UpstreamTruncated: "truncated",
}


class Attempt:
    """One request while it runs.

    Attributes:
        status: The HTTP status, once it is known.
        complete: Whether the answer is; told by the one who reads it.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.complete = False


class Observer:
    """Watches requests, their repetitions and what is skipped in their answers."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @contextmanager
    def attempt(self, operation: str) -> Iterator[Attempt]:
        """Watch one request until the context is left."""
        attempt = Attempt()
        clock = asyncio.get_running_loop().time
        started = clock()
        outcome = "failed"
        try:
            yield attempt
            outcome = "ok" if attempt.complete else "incomplete"
        except UpstreamError as error:
            outcome = _outcome(error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "ok" if attempt.complete else "cancelled"
            raise
        finally:
            seconds = clock() - started
            self._metrics.upstream_requests.labels(operation, outcome).inc()
            self._metrics.upstream_seconds.labels(operation).observe(seconds)
            _log.debug(
                "upstream_request",
                operation=operation,
                outcome=outcome,
                status=attempt.status,
                seconds=round(seconds, 4),
            )

    def retry(self, operation: str, cause: str, wait: float) -> None:
        """Note that a request will be made again after `wait` seconds."""
        self._metrics.upstream_retries.labels(cause).inc()
        _log.info("upstream_retry", operation=operation, cause=cause, wait=round(wait, 3))

    def skipped_event(self) -> None:
        """Note an event that is broken or unknown."""
        self._metrics.upstream_skipped_events.inc()


def _outcome(error: UpstreamError) -> str:
    if isinstance(error, UpstreamRefused):
        return f"refused_{error.status}"
    return _OUTCOMES[type(error)]
