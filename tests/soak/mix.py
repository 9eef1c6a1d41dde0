"""The load: every kind of call there is, and how often each is made.

The faults of the provider are those of the fault matrix, with the endings that it states.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.faults.matrix import Case, Column, Whole
from tests.faults.provider_rows import PROVIDER_ROWS
from tests.soak import deeds
from tests.soak.ledger import OVER, OVER_BETWEEN, REFUSED, Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from tests.soak.deeds import Ground

Act: TypeAlias = "Callable[[Ground, str], Awaitable[None]]"

SETTINGS = {
    "first_byte_timeout": "2.5",
    "idle_timeout": "3",
    "total_timeout": "5",
    "stream_timeout": "8",
    "max_in_flight_per_key": str(deeds.PER_KEY),
    "keepalive_interval": "0.5",
    "catalogue_refresh": "86400",
    "connection_age": "20",
    "connection_age_grace": "30",
}
"""Of the gateway. Time-outs short enough to be met often, and longer than a busy machine needs."""

WEIGHTS = {"good": 50, "provider": 35, "client": 10, "refused": 5}
"""The groups of calls, in hundredths."""

HOUSES = ("patient", "hasty", "short")
"""Houses of the fault matrix that are one here; the others have no simulator behind them."""

LEFT_OUT = {
    ("event-over-cap", True),  # 18 and 64 MiB each: they would take the machine from all others
    ("body-over-cap", False),
    ("too-long", False),  # whole answers that are too long for `SETTINGS` are those of `no-answer`
}

ENDED_BY_TOTAL = ("no-answer", "too-long")
"""Rows that end by the total time-out, which is the deadline between two processes as well."""

HARMLESS = (
    "slow:0.05", "latency:0.3", "first-byte:0.3", "cut-utf8", "byte-by-byte", "one-chunk", "crlf",
    "comments", "multi-data-lines", "data-only", "repeat", "raw-text", "no-usage",
    "zero-usage", "multi-part",
)  # fmt: skip
"""Faults that change nothing of the answer."""

WHOLE_COLUMNS = (Column.UNARY_HTTP, Column.HTTP_AFTER, Column.UNARY_GRPC, Column.GRPC_AFTER)
BEFORE_COLUMNS = (
    Column.UNARY_HTTP, Column.HTTP_BEFORE, Column.UNARY_GRPC, Column.GRPC_BEFORE,
)  # fmt: skip
AFTER_COLUMNS = (Column.HTTP_AFTER, Column.GRPC_AFTER)
HTTP_COLUMNS = (Column.UNARY_HTTP, Column.HTTP_AFTER)
ONE_OF_EACH = (Column.UNARY_HTTP, Column.UNARY_GRPC)


@dataclass(frozen=True)
class Kind:
    """One kind of call: what is done, and what the books say of it afterwards."""

    name: str
    group: str
    act: Act
    entries: tuple[Entry, ...]


class Deck:
    """Deals kinds: groups by weight, within a group each kind before any comes again."""

    def __init__(self, kinds: Iterable[Kind], seed: int) -> None:
        self._random = random.Random(seed)
        groups: dict[str, list[Kind]] = {group: [] for group in WEIGHTS}
        for kind in kinds:
            groups[kind.group].append(kind)
        self._groups = {group: self._dealt(cards) for group, cards in groups.items()}

    def _dealt(self, cards: list[Kind]) -> Iterator[Kind]:
        while True:
            self._random.shuffle(cards)
            yield from cards

    def draw(self) -> Kind:
        (group,) = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        return next(self._groups[group])

    def key(self) -> str:
        """Return a key that nobody had before."""
        return f"sk-{self._random.getrandbits(128):032x}"


def kinds() -> list[Kind]:
    """Return every kind of call."""
    return [*_good(), *_provider(), *_client(), *_refused()]


def _good() -> Iterator[Kind]:
    words = [f"word {number}" for number in range(6_000)]
    short, long = " ".join(words[:250]), " ".join(words)
    for column in WHOLE_COLUMNS:
        for _ in range(8):
            yield _cell("good", "plain", column, Case("", Whole()))
        for fault in HARMLESS:
            yield _cell("good", fault, column, Case(f"[[fault:{fault}]]", Whole()))
        yield _kind("many pieces", "good", partial(deeds.repeat, text=short), column)
        yield _kind("long prompt", "good", partial(deeds.tell_much, text=long), column)
        yield _kind("stop sequence", "good", deeds.stop_early, column)
    for column in ONE_OF_EACH:
        yield _other("list", partial(deeds.list_models, column=column), column, "ListModels")
        yield _other("get", partial(deeds.get_model, column=column), column, "GetModel")
    yield _other("count", deeds.count_tokens, Column.UNARY_GRPC, "CountTokens")


def _other(name: str, act: Act, column: Column, method: str) -> Kind:
    entry = Entry(method, column.protocol, frozenset({"OK"}), requests=0)
    return Kind(_title(name, column), "good", act, (entry,))


def _provider() -> Iterator[Kind]:
    for row in PROVIDER_ROWS:
        for column in Column:
            case = row.case(column)
            left_out = (row.name, column.is_streamed) in LEFT_OUT or row.house not in HOUSES
            if case and not left_out:
                far = OVER_BETWEEN if row.name in ENDED_BY_TOTAL else None
                yield _cell("provider", row.name, column, case, far_reasons=far)


def _cell(group: str, name: str, column: Column, case: Case, **entry: Any) -> Kind:
    reason = deeds.reason_of(case.outcome)
    requests = 1 + (case.retries[1] if case.retries else 0)
    act = partial(deeds.make_call, case=case)
    return _kind(name, group, act, column, reason, requests=requests, **entry)


def _client() -> Iterator[Kind]:
    for column in BEFORE_COLUMNS:
        for name, fault in (("head", "hang"), ("first token", "first-byte:60")):
            act = partial(deeds.leave_before, faults=f"[[fault:{fault}]]")
            yield _kind(f"leaves before {name}", "client", act, column, "CANCELLED")
    for column in AFTER_COLUMNS:
        yield _kind("leaves midway", "client", deeds.leave_midway, column, "CANCELLED")
        yield _kind("reads slowly", "client", deeds.read_slowly, column)
        yield _crowd(column)
    for column in HTTP_COLUMNS:
        yield _kind("half-closes", "client", deeds.half_close, column, "CANCELLED")
        yield _kind("sends slowly", "client", deeds.send_slowly, column)
    for column in (Column.UNARY_GRPC, Column.GRPC_BEFORE, Column.GRPC_AFTER):
        yield _kind("deadline", "client", deeds.run_out_of_time, column, *OVER)
    for column in (Column.UNARY_GRPC, Column.GRPC_BEFORE):
        yield _kind("declines to wait", "client", deeds.decline_to_wait, column, "RATE_LIMITED")


def _crowd(column: Column) -> Kind:
    held = Entry(column.method, column.protocol, frozenset({"CANCELLED"}))
    over = Entry(
        column.method,
        column.protocol,
        frozenset({"OVERLOADED"}),
        requests=0,
        is_forwarded=False,
    )
    act = partial(deeds.crowd, column=column)
    return Kind(_title("crowd", column), "client", act, (*[held] * deeds.PER_KEY, over))


def _refused() -> Iterator[Kind]:
    for reason in deeds.BAD_REQUEST:
        act = partial(deeds.send_nonsense, reason=reason)
        yield _refusal(reason.lower(), act, Column.UNARY_HTTP, reason)
    yield _refusal("noise", deeds.send_noise, Column.UNARY_GRPC, "INVALID_FIELD")
    for column in ONE_OF_EACH:
        act = partial(deeds.forget_key, column=column)
        yield _refusal("no key", act, column, "MISSING_API_KEY")
        yield _kind(
            "no such model", "refused", deeds.mistake_model, column, "MODEL_NOT_FOUND", requests=0
        )


def _refusal(name: str, act: Act, column: Column, reason: str) -> Kind:
    entry = Entry(REFUSED, column.protocol, frozenset({reason}), requests=0, is_forwarded=False)
    return Kind(_title(name, column), "refused", act, (entry,))


def _kind(
    name: str,
    group: str,
    act: Callable[..., Awaitable[None]],
    column: Column,
    *reasons: str,
    **entry: Any,
) -> Kind:
    entered = Entry(column.method, column.protocol, frozenset(reasons or ("OK",)), **entry)
    return Kind(_title(name, column), group, partial(act, column=column), (entered,))


def _title(name: str, column: Column) -> str:
    return f"{name}, {column.value}"
