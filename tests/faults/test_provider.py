"""The fault matrix, the provider's side: one test for each cell, over real sockets."""

from __future__ import annotations

import uuid

import pytest

from service.simulator import Simulator
from tests.faults.checks import check, check_nothing_leaks
from tests.faults.doors import ask
from tests.faults.ledger import kept
from tests.faults.matrix import Column, Whole
from tests.faults.provider_rows import PROVIDER_ROWS

pytestmark = pytest.mark.anyio

LEAST_WAIT = 0.1
"""Seconds: the shortest hint of the rows, and the shortest back-off."""

UNREACHED = ("refused", "unresolved", "untrusted", "unconnectable")
"""Houses whose provider no request gets to."""


@pytest.fixture(scope="session")
async def elsewhere():
    """Another host, to which the provider would like to send us."""
    async with Simulator().running() as other:
        yield other


def cells(*, split):
    return [
        pytest.param(row, column, id=f"{row.name}-{column.name.lower()}")
        for row in PROVIDER_ROWS
        for column in Column
        if row.case(column) and (row.is_split_too or not split)
    ]


@pytest.mark.parametrize(("row", "column"), cells(split=False))
async def test_in_one_process(street, elsewhere, row, column):
    await prove(await street.house(row.house), elsewhere, row, column)


@pytest.mark.parametrize(("row", "column"), cells(split=True))
async def test_in_two_processes(street, elsewhere, row, column):
    await prove(await street.house(row.house, split=True), elsewhere, row, column)


async def prove(house, elsewhere, row, column):
    case = row.case(column)
    key = f"sk-{uuid.uuid4().hex}"
    async with kept(house, key) as ledger:
        answer = await ask(column, house, key, case.faults.format(elsewhere=elsewhere.url))

    check(column, case, answer)
    check_nothing_leaks(answer.shown(), house, key)
    check_ledger(ledger, house, row, column, case)
    assert key not in str(ledger.logs)
    assert list(elsewhere.seen) == []


def check_ledger(ledger, house, row, column, case):
    reason = "OK" if isinstance(case.outcome, Whole) else case.outcome.reason
    processes = len(house.gateways) if column.is_http else 1
    check_counted_once(ledger, column, reason, processes)
    check_retries(ledger, row, case)
    if column.is_after or isinstance(case.outcome, Whole):
        assert ledger.added("onemin_tokens_total", kind="prompt") > 0
        assert ledger.added("onemin_tokens_total", kind="completion") > 0 or not case.says_text
    else:
        assert ledger.added("onemin_tokens_total") == 0


def check_counted_once(ledger, column, reason, processes):
    """Each process counts and logs the call once, under its end; nothing stays in flight."""
    assert ledger.added("onemin_calls_total") == processes
    assert ledger.added("onemin_calls_total", method=column.method, reason=reason) == processes
    assert [line["reason"] for line in ledger.lines("call")] == [reason] * processes
    assert ledger.added("onemin_refused_total") == 0
    assert ledger.in_flight == 0


def check_retries(ledger, row, case):
    cause, tries = case.retries or (None, 0)
    assert ledger.added("onemin_upstream_retries_total") == tries
    lines = ledger.lines("upstream_retry")
    assert [line["cause"] for line in lines] == [cause] * tries
    assert all(line["wait"] >= LEAST_WAIT for line in lines)
    operations = ("chat", "stream_chat")
    made = sum(
        ledger.added("onemin_upstream_requests_total", operation=name) for name in operations
    )
    assert made == 1 + tries
    if row.house not in (*UNREACHED, "raw"):
        assert len(ledger.requests) == 1 + tries
