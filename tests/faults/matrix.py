"""What the fault matrix is made of: columns, outcomes, cells and rows."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace

PROMPT = "count to 10"
TEXT = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
"""What the simulator says to `PROMPT`."""


class Column(enum.Enum):
    """How a call is made, and how far its answer has come when the fault strikes."""

    UNARY_HTTP = "unary HTTP"
    HTTP_BEFORE = "streamed HTTP, before the first byte"
    HTTP_AFTER = "streamed HTTP, after it"
    UNARY_GRPC = "unary gRPC"
    GRPC_BEFORE = "streamed gRPC, before the first message"
    GRPC_AFTER = "streamed gRPC, after it"

    @property
    def is_http(self):
        return self in (Column.UNARY_HTTP, Column.HTTP_BEFORE, Column.HTTP_AFTER)

    @property
    def is_streamed(self):
        return self not in (Column.UNARY_HTTP, Column.UNARY_GRPC)

    @property
    def is_after(self):
        return self in (Column.HTTP_AFTER, Column.GRPC_AFTER)

    @property
    def method(self):
        return "StreamChatCompletion" if self.is_streamed else "CreateChatCompletion"

    @property
    def protocol(self):
        return "http" if self.is_http else "grpc"


@dataclass(frozen=True)
class Failure:
    """A failure as a client sees it; the figures stand here a second time, on purpose."""

    reason: str
    grpc: str
    status: int
    code: str | None
    type: str = "server_error"
    param: str | None = None
    hint: float | None = None
    """Seconds after which a retry is offered; None: it is said that none helps."""

    def retry_in(self, seconds):
        return replace(self, hint=seconds)

    @property
    def is_retried_unasked(self):
        """Whether OpenAI's SDKs would try again if nothing were said."""
        return self.status in (408, 409, 429) or self.status >= 500

    def cell(self, column):
        lead = "what came, then " if column.is_after else ""
        if column is Column.HTTP_AFTER:
            return f"{lead}error frame `{self.code or self.type}`"
        name = f"`{self.grpc}` `{self.reason}`"
        if column.is_http:
            name = f"{self.status} `{self.code}`" if self.code else f"{self.status}"
        return f"{lead}{name}{self._hint(column)}"

    def _hint(self, column):
        if self.hint is not None:
            return f", retry in {self.hint:g} s"
        return ", no retry" if self.is_retried_unasked or not column.is_http else ""


@dataclass(frozen=True)
class Whole:
    """Not a failure at all: the whole answer, called complete."""

    text: str = TEXT
    finish_reason: str = "stop"

    def cell(self, column):
        if column.is_http:
            ending = "`[DONE]`" if column.is_streamed else "200"
        else:
            ending = "`Completed`, `OK`" if column.is_streamed else "`OK`"
        cut = "" if self.finish_reason == "stop" else f" `{self.finish_reason}`"
        return f"whole,{cut} {ending}"


@dataclass(frozen=True)
class Case:
    """A fault, and what comes of it."""

    faults: str
    outcome: Failure | Whole
    retries: tuple[str, int] | None = None
    """The cause and the number of the gateway's own tries after the first."""
    says_text: bool = True
    """Whether text came before the fault, in the columns "after"."""

    def cell(self, column):
        text = self.outcome.cell(column)
        return f"{text} (after {self.retries[1]} of our own)" if self.retries else text


@dataclass(frozen=True)
class Row:
    """One fault: of a whole answer, of a stream that has not begun, and of one that has."""

    name: str
    what: str
    whole: Case | None = None
    before: Case | None = None
    after: Case | None = None
    house: str = "patient"
    is_split_too: bool = False

    def case(self, column):
        if not column.is_streamed:
            return self.whole
        return self.after if column.is_after else self.before

    def cells(self):
        cases = {column: self.case(column) for column in Column}
        return {column: case.cell(column) for column, case in cases.items() if case}


@dataclass(frozen=True)
class Deed:
    """A fault that a test acts out: what comes of it by column, and the test's name."""

    name: str
    what: str
    outcomes: dict[Column, str] = field(default_factory=dict)
    is_split_too: bool = False

    def cells(self):
        return self.outcomes


def provider_row(name, what, outcome, *, faults=None, retries=None, after=None, **options):
    """Return a row whose fault strikes whole answers and streams alike before they begin."""
    case = Case(f"[[fault:{name}]]" if faults is None else faults, outcome, retries)
    return Row(name, what, case, case, after, **options)


def stream_row(name, what, outcome, *, faults=None, whole=None, says_text=True, **options):
    """Return a row whose fault strikes a stream that has begun."""
    faults = f"[[fault:{name}]]" if faults is None else faults
    after = Case(faults, outcome, says_text=says_text)
    return Row(name, what, whole and Case(faults, whole), None, after, **options)
