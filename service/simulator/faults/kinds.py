"""The kinds of fault, by the stage of an answer that they change, and their arguments.

An answer is made in four stages, and a fault changes one of them: a `Refusal` takes the place of
the answer, a `SpeechFault` changes what is said, a `StreamFault` the events of a stream, and a
`WireFault` how the bytes travel. Faults of different stages combine, and so do several of one
stage where that makes sense; they are applied in the order of the menu.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.simulator.delivery import Delivery
    from service.simulator.speech import Speech
    from service.simulator.stream import Stream

MAX_SECONDS = 3_600.0
MAX_BYTES = 64 * 1024 * 1024


class BadFault(Exception):
    """A fault was asked for in a way that the menu does not know; the message says which."""


@dataclass(frozen=True, slots=True)
class Canned:
    """A fixed answer."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the menu.

    `argument` names the argument, with its default where it has one (`S=1`); empty for none.
    `streams_only` faults leave whole answers alone.
    """

    name: str
    summary: str
    argument: str = ""
    streams_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Fault):
    """Answers with something else altogether."""

    answer: Callable[[str], Canned]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechFault(Fault):
    """Changes what is said: the texts and the record."""

    edit: Callable[[Speech, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFault(Fault):
    """Changes the events of a stream."""

    edit: Callable[[Stream, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFault(Fault):
    """Changes how the bytes travel, whatever they are."""

    edit: Callable[[Delivery, str], None]


def seconds(argument: str, default: float) -> float:
    """Read a time, 0 to `MAX_SECONDS`.

    Raises:
        BadFault: it is not such a number.
    """
    try:
        value = float(argument or default)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAX_SECONDS:
        raise BadFault(f"{argument!r} is not a time of 0 to {MAX_SECONDS:g} seconds")
    return value


def whole_number(argument: str, default: int, most: int = MAX_BYTES) -> int:
    """Read a count or a number of bytes, 0 to `most`.

    Raises:
        BadFault: it is not such a number.
    """
    text = argument or str(default)
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or int(text) > most:
        raise BadFault(f"{argument!r} is not a whole number of 0 to {most}")
    return int(text)


def choice(argument: str, *choices: str) -> str:
    """Read one of several words; the first is the default.

    Raises:
        BadFault: it is none of them.
    """
    word = argument or choices[0]
    if word not in choices:
        raise BadFault(f"{argument!r} is none of {', '.join(choices)}")
    return word
