"""Every metric there is, in a registry of its own.

Labels are bounded: models come from the catalogue, reasons from the error table,
methods from the contract. The list in the README is tested against this registry.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.call import Protocol

MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)

OK: Final = "OK"
"""The `reason` of a call that succeeded."""

CANCELLED: Final = "CANCELLED"
"""The `reason` of a call whose caller went away."""

_REMEMBERED: Final = 1024
"""Children of each metric that are found without asking it."""

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


def with_memory(metric: MetricT) -> Callable[..., MetricT]:
    """Return `metric.labels`, made quick where it is asked for each call: it takes a microsecond.

    No child is ever removed, so the one that is remembered is the one that is shown.
    """
    return lru_cache(_REMEMBERED)(metric.labels)


class Metrics:
    """The metrics of one process; built once, by the composition root."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        by_call = ("method", "protocol")
        self.calls = self._counter(
            "calls", "Calls that reached the service, by how they ended.", *by_call, "reason"
        )
        self.call_seconds = self._histogram(
            "call_seconds", "Time from a call's arrival to its end.", *by_call
        )
        self.first_token_seconds = self._histogram(
            "first_token_seconds", "Time from a stream's arrival to its first text.", "protocol"
        )
        self.in_flight = self._gauge("in_flight", "Calls being served.", "protocol")
        self.refused = self._counter(
            "refused", "Requests refused before they reached the service.", "protocol", "reason"
        )
        self.tokens = self._counter(
            "tokens", "Tokens of prompts and answers, broken-off ones too.", "model", "kind"
        )
        self.upstream_requests = self._counter(
            "upstream_requests", "Requests to the provider, by their end.", "operation", "outcome"
        )
        self.upstream_seconds = self._histogram(
            "upstream_request_seconds", "Time of requests to the provider.", "operation"
        )
        self.upstream_retries = self._counter(
            "upstream_retries", "Requests to the provider that were made again.", "cause"
        )
        self.upstream_skipped_events = self._counter(
            "upstream_skipped_events", "Events of the provider that were broken or unknown."
        )
        self.catalogue_refreshes = self._counter(
            "catalogue_refreshes", "Readings of the provider's list of models.", "outcome"
        )
        self.loop_lag_seconds = self._histogram(
            "event_loop_lag_seconds", "How late the event loop ran a timer.", buckets=_LAG_SECONDS
        )
        self._calls = with_memory(self.calls)
        self._call_seconds = with_memory(self.call_seconds)
        self._first_token_seconds = with_memory(self.first_token_seconds)
        self._tokens = with_memory(self.tokens)
        self._upstream_requests = with_memory(self.upstream_requests)
        self._upstream_seconds = with_memory(self.upstream_seconds)
        Info("onemin_build", "The running version.", registry=self.registry).info(
            {"version": version}
        )

    def call_ended(self, method: str, protocol: Protocol, reason: str, seconds: float) -> None:
        """Count one call that reached the service."""
        self._calls(method, protocol, reason).inc()
        self._call_seconds(method, protocol).observe(seconds)

    def upstream_ended(self, operation: str, outcome: str, seconds: float) -> None:
        """Count one request to the provider."""
        self._upstream_requests(operation, outcome).inc()
        self._upstream_seconds(operation).observe(seconds)

    def first_token(self, protocol: Protocol, seconds: float) -> None:
        """Note when the first text of a stream came, in seconds from the arrival of its call."""
        self._first_token_seconds(protocol).observe(seconds)

    def tokens_used(self, model: str, prompt: int, completion: int) -> None:
        """Count the tokens of one answer, whole or not; `model` is an id of the catalogue."""
        self._tokens(model, "prompt").inc(prompt)
        self._tokens(model, "completion").inc(completion)

    def exposition(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"onemin_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"onemin_{name}", about, labels, registry=self.registry)

    def _histogram(
        self, name: str, about: str, *labels: str, buckets: tuple[float, ...] = _SECONDS
    ) -> Histogram:
        return Histogram(f"onemin_{name}", about, labels, buckets=buckets, registry=self.registry)
