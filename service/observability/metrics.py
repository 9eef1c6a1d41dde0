"""Every metric there is, in a registry of its own.

Labels are bounded: models come from the catalogue or are `other`, reasons from the error table,
methods from the contract. The list in the README is tested against this registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

if TYPE_CHECKING:
    from service.call import Protocol

OK: Final = "OK"
"""The `reason` of a call that succeeded."""

CANCELLED: Final = "CANCELLED"
"""The `reason` of a call whose caller went away."""

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Metrics:
    """The metrics of one process; built once, by the composition root."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "onemin_calls",
            "Calls that reached the service, by how they ended.",
            ("method", "protocol", "reason"),
            registry=self.registry,
        )
        self.call_seconds = Histogram(
            "onemin_call_seconds",
            "Time from a call's arrival to its end.",
            ("method", "protocol"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_token_seconds = Histogram(
            "onemin_first_token_seconds",
            "Time from a stream's arrival to its first text.",
            ("protocol",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "onemin_in_flight", "Calls being served.", ("protocol",), registry=self.registry
        )
        self.refused = Counter(
            "onemin_refused",
            "Requests that a door refused before they reached the service.",
            ("protocol", "reason"),
            registry=self.registry,
        )
        self.tokens = Counter(
            "onemin_tokens",
            "Tokens of prompts and answers, also of answers that failed midway.",
            ("model", "kind"),
            registry=self.registry,
        )
        self.upstream_requests = Counter(
            "onemin_upstream_requests",
            "Requests to the provider, by how they ended.",
            ("operation", "outcome"),
            registry=self.registry,
        )
        self.upstream_seconds = Histogram(
            "onemin_upstream_request_seconds",
            "Time of requests to the provider.",
            ("operation",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.upstream_retries = Counter(
            "onemin_upstream_retries",
            "Requests to the provider that were made again.",
            ("cause",),
            registry=self.registry,
        )
        self.upstream_skipped_events = Counter(
            "onemin_upstream_skipped_events",
            "Events of the provider that were broken or unknown.",
            registry=self.registry,
        )
        self.catalogue_refreshes = Counter(
            "onemin_catalogue_refreshes",
            "Readings of the provider's list of models.",
            ("outcome",),
            registry=self.registry,
        )
        self.loop_lag_seconds = Histogram(
            "onemin_event_loop_lag_seconds",
            "How late the event loop ran a timer.",
            buckets=_LAG_SECONDS,
            registry=self.registry,
        )
        Info("onemin_build", "The running version.", registry=self.registry).info(
            {"version": version}
        )

    def call_ended(self, method: str, protocol: Protocol, reason: str, seconds: float) -> None:
        """Count one call that reached the service."""
        self.calls.labels(method, protocol, reason).inc()
        self.call_seconds.labels(method, protocol).observe(seconds)

    def tokens_used(self, model: str, prompt: int, completion: int) -> None:
        """Count the tokens of one answer, whole or not; `model` is a catalogue id or `other`."""
        self.tokens.labels(model, "prompt").inc(prompt)
        self.tokens.labels(model, "completion").inc(completion)

    def exposition(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)
