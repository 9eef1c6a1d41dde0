"""Progress lines of a web search, which the provider writes into the answer's own text."""

from __future__ import annotations

from typing import Final

MARK: Final = "🌐 Crawling site"
"""How such a line begins."""


class CrawlFilter:
    """Drops lines that begin with `MARK`, and the blank lines between them and the answer.

    Only the begin of a line is held back, and only while it may still become the mark or a blank
    line. What is passed does not depend on how the text was cut into pieces.
    """

    def __init__(self) -> None:
        self._held = ""
        self._in_line = False  # the line at hand belongs to the answer and is passed as it comes
        self._answer_begun = False
        self._crawling = False  # a progress line came, and since then nothing but blank lines

    def feed(self, text: str) -> str:
        """Return what belongs to the answer, of what was held back and of `text`."""
        passed = []
        for piece in _lines(text):
            passed.append(piece if self._in_line else self._decide(self._held + piece))
            if piece.endswith("\n"):
                self._in_line = False
        return "".join(passed)

    def close(self) -> str:
        """Return what was held back, when nothing follows."""
        held, self._held = self._held, ""
        return "" if held.startswith(MARK) else held

    def _decide(self, line: str) -> str:
        """Decide on the begin of a line: pass it, drop it, or hold it back."""
        ended = line.endswith("\n")
        is_blank = self._crawling and not line.strip()
        self._held = ""
        if line.startswith(MARK):
            self._crawling = self._crawling or not self._answer_begun
            self._held = "" if ended else MARK
        elif not ended and (is_blank or MARK.startswith(line)):
            self._held = line
        elif not is_blank:
            self._answer_begun, self._crawling = True, False
            self._in_line = not ended
            return line
        return ""


def without_crawl_lines(text: str) -> str:
    """Return a whole text without its progress lines."""
    lines = CrawlFilter()
    return lines.feed(text) + lines.close()


def _lines(text: str) -> list[str]:
    """Split after each newline and nowhere else (`str.splitlines` knows nine more)."""
    pieces = [f"{piece}\n" for piece in text.split("\n")]
    pieces[-1] = pieces[-1][:-1]
    return [piece for piece in pieces if piece]
