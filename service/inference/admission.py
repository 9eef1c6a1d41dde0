"""How many calls are served at once: an honest refusal instead of a queue."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.errors import Reason, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Gauge

    from service.call import Call


class Admission:
    """Counts the calls in flight, in all and for each key.

    Keys are counted by a digest, so that none is kept; a key that has no call in flight is
    forgotten, so the count of keys is at most `limit`.
    """

    def __init__(self, *, limit: int, limit_per_key: int, in_flight: Gauge) -> None:
        self._limit = limit
        self._limit_per_key = limit_per_key
        self._gauge = in_flight
        self._total = 0
        self._by_key: Counter[bytes] = Counter()

    @property
    def total(self) -> int:
        """The calls in flight."""
        return self._total

    @contextmanager
    def slot(self, call: Call) -> Iterator[None]:
        """Hold a place for the time of a call.

        Raises:
            ServiceError: `OVERLOADED` if there is none.
        """
        key = hashlib.blake2b(call.credential.encode(), digest_size=16).digest()
        if self._total >= self._limit:
            raise ServiceError(Reason.OVERLOADED, "Too many calls are in flight here. Try later.")
        if self._by_key[key] >= self._limit_per_key:
            raise ServiceError(
                Reason.OVERLOADED, "Too many calls are in flight for this API key. Try later."
            )
        gauge = self._gauge.labels(call.protocol)
        self._total += 1
        self._by_key[key] += 1
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()
            self._total -= 1
            self._by_key[key] -= 1
            if not self._by_key[key]:
                del self._by_key[key]
