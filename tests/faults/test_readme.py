from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.faults.readme import SECTIONS, text


def test_the_readme_is_what_the_tests_prove():
    readme = Path(__file__).with_name("README.md").read_text()
    assert readme == text(), "run: python -m tests.faults.readme > tests/faults/README.md"


def test_no_two_rows_have_one_name():
    names = Counter(row.name for rows in SECTIONS.values() for row in rows)
    assert names.most_common(1)[0][1] == 1
