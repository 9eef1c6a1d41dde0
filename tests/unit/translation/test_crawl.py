from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.translation.crawl import MARK, CrawlFilter, without_crawl_lines

CASES = {
    "no line of progress": ("An answer.\n\nMore.", "An answer.\n\nMore."),
    "one line first": (f"{MARK} https://example.org/a\nAn answer.", "An answer."),
    "several, with blank lines": (f"{MARK} a\n\n{MARK} b\n\n\nAn answer.", "An answer."),
    "in the middle": (f"Begin\n{MARK} a\nend", "Begin\nend"),
    "in the middle, paragraphs stay": (f"Begin\n\n{MARK} a\n\nend", "Begin\n\n\nend"),
    "last and without a newline": (f"An answer.\n{MARK} a", "An answer.\n"),
    "only progress": (f"{MARK} a\n{MARK} b\n", ""),
    "not at the begin of a line": (f"See {MARK} a\nend", f"See {MARK} a\nend"),
    "another globe": ("🌐 The web is large.", "🌐 The web is large."),
    "ends within the mark": ("An answer.\n🌐 Craw", "An answer.\n🌐 Craw"),
    "blank lines without progress": ("\n\nAn answer.", "\n\nAn answer."),
    "other line ends do not count": (f"a\u2028{MARK} b", f"a\u2028{MARK} b"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_text_loses_its_progress_lines(text, expected):
    assert without_crawl_lines(text) == expected


LINES = st.lists(
    st.sampled_from(
        [MARK, f"{MARK} a", "🌐", "🌐 Crawl", "", " ", "An answer", "\n", "\n\n", "🌐 C"]
    )
)


@given(pieces=LINES)
def test_the_cut_into_pieces_does_not_matter(pieces):
    lines = CrawlFilter()
    passed = "".join(lines.feed(piece) for piece in pieces) + lines.close()

    assert passed == without_crawl_lines("".join(pieces))


def test_only_the_begin_of_a_line_is_held_back():
    lines = CrawlFilter()

    assert [lines.feed(piece) for piece in ("Hel", "lo", "\n", "🌐", " C", "ats")] == [
        "Hel",
        "lo",
        "\n",
        "",
        "",
        "🌐 Cats",
    ]
