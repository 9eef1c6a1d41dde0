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
import time
from typing import TYPE_CHECKING, Any, Final, Self

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
from service.upstream.payloads import DoneEvent, ResultEvent, SkippedEvent

if TYPE_CHECKING:
    from types import TracebackType

    from service.observability.metrics import Metrics
    from service.upstream.payloads import ChatEvent

_log: Final[Any] = structlog.get_logger()

_OUTCOMES: Final[dict[type[UpstreamError], str]] = {
    UpstreamUnavailable: "unavailable",
    UpstreamMalformed: "malformed",
    UpstreamTimeout: "timeout",
    UpstreamStalled: "stalled",
    UpstreamTruncated: "truncated",
}

_COMPLETIONS: Final = (ResultEvent, DoneEvent)


class Attempt:
    """One request while it runs.

    Attributes:
        status: The HTTP status, once it is known.
        complete: Whether the answer is; told by the one who reads it.
    """

    __slots__ = ("_metrics", "_operation", "_started", "complete", "status")

    def __init__(self, operation: str, metrics: Metrics) -> None:
        self.status: int | None = None
        self.complete = False
        self._operation = operation
        self._metrics = metrics
        self._started = time.perf_counter()

    def note(self, events: list[ChatEvent]) -> None:
        """Note what a read of the stream gave."""
        for event in events:
            if isinstance(event, SkippedEvent):
                self._metrics.upstream_skipped_events.inc()
            elif isinstance(event, _COMPLETIONS):
                self.complete = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        outcome = self._outcome(error)
        seconds = time.perf_counter() - self._started
        self._metrics.upstream_ended(self._operation, outcome, seconds)
        _log.debug(
            "upstream_request",
            operation=self._operation,
            outcome=outcome,
            status=self.status,
            seconds=round(seconds, 4),
        )

    def _outcome(self, error: BaseException | None) -> str:
        if error is None:
            return "ok" if self.complete else "incomplete"
        if isinstance(error, UpstreamRefused):
            return f"refused_{error.status}"
        if isinstance(error, UpstreamError):
            return _OUTCOMES[type(error)]
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            return "ok" if self.complete else "cancelled"
        return "failed"


class Observer:
    """Watches requests and their repetitions."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def attempt(self, operation: str) -> Attempt:
        """Return what watches one request, as a context."""
        return Attempt(operation, self._metrics)

    def retry(self, operation: str, cause: str, wait: float) -> None:
        """Note that a request will be made again after `wait` seconds."""
        self._metrics.upstream_retries.labels(cause).inc()
        _log.info("upstream_retry", operation=operation, cause=cause, wait=round(wait, 3))
