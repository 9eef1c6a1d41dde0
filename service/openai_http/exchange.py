"""`Exchange`: one request and its answer as the log line tells them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Scope

    from service.errors import Reason

_KEY: Final = "onemin.exchange"


@dataclass(slots=True)
class Exchange:
    """One request and its answer; made by the outermost layer, filled in by the inner ones.

    Attributes:
        request_id: Names the exchange in headers, errors and logs.
        route: The template of the matched path: a path itself may hold anything.
        model: The model that answered, an id of the catalogue; never what the caller sent.
        reason: Why it failed, if it did.
        reached_service: Whether the port was called, so that the service counts the outcome.
        status: The status of the answer, once its head is out.
        sent: Bytes of the body so far.
        started, ended: On the performance counter; None while it is not over.
    """

    request_id: str
    route: str | None = None
    model: str | None = None
    reason: Reason | None = None
    reached_service: bool = False
    status: int | None = None
    sent: int = 0
    started: float = field(default_factory=time.perf_counter)
    ended: float | None = None

    def elapsed_ms(self) -> int:
        """Return the time since the request's head came, up to its end, in milliseconds."""
        return int(((self.ended or time.perf_counter()) - self.started) * 1000)

    def end(self) -> None:
        """Stop the clock."""
        self.ended = time.perf_counter()

    def attach(self, scope: Scope) -> None:
        """Make this the exchange of the scope."""
        scope[_KEY] = self

    @staticmethod
    def of(scope: Scope) -> Exchange:
        """Return the exchange of the scope."""
        exchange: Exchange = scope[_KEY]
        return exchange


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of that lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
