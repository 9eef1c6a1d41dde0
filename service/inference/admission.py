"""How many calls are served at once: an honest refusal instead of a queue.

Calls take turns (`service/stages.py`) only after they were admitted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from service.errors import Reason, ServiceError
from service.observability.metrics import with_memory

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

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
        self._gauge = with_memory(in_flight)
        self._total = 0
        self._by_key: Counter[bytes] = Counter()

    @property
    def total(self) -> int:
        """The calls in flight."""
        return self._total

    def slot(self, call: Call) -> AbstractContextManager[None]:
        """Hold a place for the time of a call.

        Raises:
            ServiceError: On entering, `OVERLOADED` if there is none.
        """
        key = hashlib.blake2b(call.credential.encode(), digest_size=16).digest()
        return _Slot(self, key, self._gauge(call.protocol))

    def take(self, key: bytes) -> None:
        """Take a place for a key, by its digest, or raise as `slot` does."""
        if self._total >= self._limit:
            raise ServiceError(Reason.OVERLOADED, "Too many calls are in flight here. Try later.")
        if self._by_key[key] >= self._limit_per_key:
            raise ServiceError(
                Reason.OVERLOADED, "Too many calls are in flight for this API key. Try later."
            )
        self._total += 1
        self._by_key[key] += 1

    def give_back(self, key: bytes) -> None:
        """Give a place back that was taken for a key."""
        self._total -= 1
        self._by_key[key] -= 1
        if not self._by_key[key]:
            del self._by_key[key]


class _Slot:
    """A context, and not a generator of one: that took three times as long, for every call."""

    def __init__(self, admission: Admission, key: bytes, gauge: Gauge) -> None:
        self._admission = admission
        self._key = key
        self._gauge = gauge

    def __enter__(self) -> None:
        self._admission.take(self._key)
        self._gauge.inc()

    def __exit__(self, *_: object) -> None:
        self._gauge.dec()
        self._admission.give_back(self._key)
