"""One call as the log and the metrics see it, and the boundary that no other exception crosses."""

from __future__ import annotations

import asyncio
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

import structlog

from service.errors import Reason, ServiceError
from service.observability.metrics import CANCELLED, OK, Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from service.call import Call

_UNRESOLVED: Final = frozenset(
    {
        Reason.INTERNAL,
        Reason.INVALID_FIELD,
        Reason.MODEL_NOT_FOUND,
        Reason.OVERLOADED,
        Reason.PAYLOAD_TOO_LARGE,
        Reason.SHUTTING_DOWN,
    }
)
"""Refusals of which the model may be any text, even a key in the wrong place: it is not logged."""

_NO_DETAILS: Final[Mapping[str, str]] = MappingProxyType({})

_log = structlog.get_logger("service.call")


class Observation:
    """Observes one call from its arrival to its end; used as a context manager.

    On the way out it lets `ServiceError` and cancellation through and turns everything else into
    `INTERNAL`, whose cause only the log tells.
    """

    __slots__ = ("_began", "_call", "_completed", "_first_token", "_method", "_metrics", "_model")

    def __init__(self, method: str, call: Call, model: str, metrics: Metrics) -> None:
        self._method = method
        self._call = call
        self._model = model
        self._metrics = metrics
        self._began = time.perf_counter()
        self._first_token: float | None = None
        self._completed = False

    def note(self, kinds: set[str]) -> None:
        """Note events of a stream, by their kinds: when text came first, and that it is whole."""
        if self._first_token is None and "delta" in kinds:
            self._first_token = self._elapsed()
            self._metrics.first_token(self._call.protocol, self._first_token)
        if "completed" in kinds:
            self._completed = True  # leaving now is no cancellation

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, ServiceError):
            self._end(error.reason, error.metadata)
        elif error is None or (isinstance(error, GeneratorExit) and self._completed):
            self._end(OK)
        elif isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self._end(CANCELLED)
        elif isinstance(error, Exception):
            _log.error("unexpected error", request_id=self._call.request_id, exc_info=error)
            self._end(Reason.INTERNAL)
            raise ServiceError.internal() from error

    def _end(self, reason: str, details: Mapping[str, str] = _NO_DETAILS) -> None:
        seconds = self._elapsed()
        self._metrics.call_ended(self._method, self._call.protocol, reason, seconds)
        ours = {
            "method": self._method,
            "protocol": self._call.protocol,
            "request_id": self._call.request_id,
            "trace_id": self._call.trace_id,
            "model": None if reason in _UNRESOLVED else self._model,
            "reason": reason,
            "seconds": round(seconds, 4),
            "first_token_seconds": self._first_token and round(self._first_token, 4),
        }
        # What an error tells may have the name of what every line tells, `model` for example.
        _log.info("call", **{**details, **ours})

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began
