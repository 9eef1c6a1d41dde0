"""What the simulated models say: text that depends on the prompt, and always the same for it."""

from __future__ import annotations

import re

MAX_COUNT = 1_000
MAX_DELTAS = 2_000
_QUOTE_CHARS = 80

_USER_TURN = re.compile(r"^(?P<marker>\[\w{8,}\]) user\b[^\n]*\n", re.MULTILINE)
_ECHO = re.compile(r"\s*(?:repeat:|echo:|echo\b)[ \t]?+(?P<text>.+)", re.IGNORECASE | re.DOTALL)
_COUNT = re.compile(r"\bcount\b.{0,20}?\bto (?P<limit>\d{1,9})", re.IGNORECASE | re.DOTALL)
_GREETING = re.compile(
    r"\s*(hi|hello|hey|hiya|greetings|good (morning|day|evening))\b.{0,40}$",
    re.IGNORECASE | re.DOTALL,
)
_THANKS = re.compile(r"\s*(thanks|thank you|thx)\b", re.IGNORECASE)
_LONG = re.compile(r"\b(story|essay|poem|article|novel)\b", re.IGNORECASE)
_PIECE = re.compile(r"\s*\S{1,16}|\s+")

_CHAPTERS = """
Once there was a small service that stood between two worlds. On one side people spoke in many \
short messages; on the other a provider took nothing but one long string.

Every morning the service opened its doors, read each message with care, and carried it across \
the bridge — never losing a word, never adding one of its own.

Some days the bridge was slow, and some days it broke in the middle of a sentence. The service \
learned to wait, to say honestly what had happened, and to close what it had opened.

Travellers came from far away: Grüße from Köln, 你好 from Shanghai, a cheerful 🙂 from nowhere \
in particular. All of them arrived in one piece.

And when the evening came, the service finished every conversation that was still going on, \
turned out the light, and left with exit code zero."""


def answer(model: str, prompt: str) -> str:
    """Return what `model` says to `prompt`, which holds no fault markers any more."""
    words = last_words(prompt)
    if echoed := _ECHO.match(words):
        return echoed["text"]
    if counted := _COUNT.search(words):
        return _count(int(counted["limit"]))
    if _GREETING.match(words):
        return f"Hello! I am {model}, played by a simulator. What would you like to try?"
    if _THANKS.match(words):
        return "You are welcome! It was a pleasure — simulated, but sincere."
    if _LONG.search(words):
        return f"A story by {model} (simulated)\n{_CHAPTERS}"
    return _explanation(model, words)


def last_words(prompt: str) -> str:
    """Return the last user turn of a prompt in the gateway's form, else the whole prompt.

    In that form a turn begins with a line such as `[8f0c17aa] user` and ends before the next line
    that begins with the same marker.
    """
    turns = list(_USER_TURN.finditer(prompt))
    if not turns:
        return prompt
    start = turns[-1].end()
    return prompt[start:].split(f"\n\n{turns[-1]['marker']}", 1)[0]


def split(text: str) -> list[str]:
    """Cut a text into the deltas of a stream: about a word each, at most `MAX_DELTAS`."""
    pieces = _PIECE.findall(text)
    group = -(-len(pieces) // MAX_DELTAS) or 1
    return ["".join(pieces[start : start + group]) for start in range(0, len(pieces), group)]


def _count(limit: int) -> str:
    return ", ".join(str(number) for number in range(1, min(limit, MAX_COUNT) + 1)) or "0"


def _explanation(model: str, words: str) -> str:
    flat = " ".join(words.split())
    quoted = flat if len(flat) <= _QUOTE_CHARS else f"{flat[:_QUOTE_CHARS].rstrip()}…"
    return (
        f"This is {model}, played by the simulator, so I do not really know — but I read every "
        f"word. You wrote: “{quoted}”. With a real account behind the gateway, the model's own "
        "answer would stand here. Try “count to 10”, “repeat: anything” or “tell me a story”."
    )
