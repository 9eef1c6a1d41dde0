"""The sizes that keep the house readable."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "service").rglob("*.py"))
MAX_LINES = 400
MAX_FUNCTION = 60
MEDIAN_FUNCTION = 8
VAGUE = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "base", "core"}


def functions():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{file.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_can_be_read_in_one_sitting_and_has_a_telling_name(file):
    assert len(file.read_text().splitlines()) <= MAX_LINES
    assert file.stem not in VAGUE


def test_functions_can_be_read_at_a_glance():
    lengths = dict(functions())

    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION} == {}
    assert statistics.median(lengths.values()) <= MEDIAN_FUNCTION
