"""`python -m tests.faults.readme` prints README.md, made from the parameters of the tests."""

from __future__ import annotations

from tests.faults.deeds import BUG_DEEDS, CLIENT_DEEDS, OWN_DEEDS
from tests.faults.matrix import Column
from tests.faults.provider_rows import (
    BROKEN,
    CONNECTION,
    INSIDE_200,
    KEYS_AND_CREDITS,
    NONSENSE,
    RATE_LIMITS,
    REFUSALS,
    SERVERS,
    SILENCE,
)

SECTIONS = {
    "The provider: no connection": CONNECTION,
    "The provider: silence": SILENCE,
    "The provider: broken off": BROKEN,
    "The provider: nonsense, and what looks like it": NONSENSE,
    "The provider: failures inside a success": INSIDE_200,
    "The provider: keys and credits": KEYS_AND_CREDITS,
    "The provider: rate limits": RATE_LIMITS,
    "The provider: refusals of the request": REFUSALS,
    "The provider: it, or its CDN, failed": SERVERS,
    "The client": CLIENT_DEEDS,
    "Ourselves": OWN_DEEDS,
    "Ourselves: bugs": BUG_DEEDS,
}

DASH = "-"

HEAD = """\
# The fault matrix

<!-- Made by `python -m tests.faults.readme` from the parameters of the tests; do not edit. -->

What each fault looks like to a client. Every cell is a test over real sockets, on role `all`; rows
with a ⑂ run on roles `http` + `grpc` as well, where the columns of HTTP pass through both processes.
A dash means that the fault cannot strike there.

- Over HTTP a cell names the status and `error.code`. "Retry in N s" means `retry-after` and
  `retry-after-ms`; "no retry" means `x-should-retry: false`; neither is said where the SDKs do not
  retry by themselves.
- Over gRPC a cell names the code and the `reason` of `google.rpc.ErrorInfo`. "Retry in N s" means
  `RetryInfo` and `grpc-retry-pushback-ms`, "no retry" the pushback -1. `RequestInfo` has the id.
- "What came, then …" is a stream that had begun: its text is delivered, no finish reason and no
  `[DONE]` follow, and the tokens so far are counted.
- "After N of our own" counts the gateway's own tries after the first, which a metric and the log
  show. Where nothing is said there was one request and no more.

Each cell also proves that the call is counted in `onemin_calls_total` once, under its ending, that
nothing stays in flight here or open at the provider, and that neither the answer nor the log shows
the key, and the answer no word, address or page of the provider. What silence looks like, comments,
an early head and pings, is in `test_silence.py`.
"""


def text():
    parts = [HEAD]
    for title, rows in SECTIONS.items():
        parts.append(f"\n## {title}\n\n{_table(rows)}")
    return "".join(parts)


def _table(rows):
    columns = [column for column in Column if any(column in row.cells() for row in rows)]
    lines = [
        ["Fault", *(column.value for column in columns)],
        ["---"] * (len(columns) + 1),
        *([_name(row), *(row.cells().get(column, DASH) for column in columns)] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _name(row):
    return f"`{row.name}`{' ⑂' if row.is_split_too else ''}: {row.what}"


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201  # the point of running it
