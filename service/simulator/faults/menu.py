"""The whole menu, and the grammar in which faults are asked for.

`[[fault:NAME]]` or `[[fault:NAME:ARG]]` anywhere in the prompt, several where they combine; or
one by the API key: `sim-NAME` or `sim-NAME-ARG`. A key that begins with no name of the menu is an
ordinary good key; an unknown name in a prompt is refused, so that a typing error fails loudly.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.simulator.answers import last_words
from service.simulator.faults.kinds import BadFault, Fault, whole_number
from service.simulator.faults.refusals import REFUSALS
from service.simulator.faults.speech import SPEECH_FAULTS
from service.simulator.faults.stream import STREAM_FAULTS
from service.simulator.faults.wire import WIRE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REMEMBERED = 1_000
"""How many pairs of key and words the memory of `flaky` holds; the least recent is forgotten."""

FLAKY = Fault(
    "flaky",
    "the first N requests with this key and these last user words fail as NAME, later ones do not",
    "N:NAME",
)

FAULTS: dict[str, Fault] = {
    fault.name: fault for fault in (FLAKY, *REFUSALS, *SPEECH_FAULTS, *STREAM_FAULTS, *WIRE_FAULTS)
}

_MARKER = re.compile(r"\[\[fault:(?P<spec>[^\[\]\n]{1,500})\]\]")
# Blanks are taken from their first on only: else a long run of them is tried from each of them.
_MARKER_AND_SPACE = re.compile(rf"(?<![ \t])[ \t]*{_MARKER.pattern}")
_KEY_PREFIX = "sim-"
_FLAKY_ARGUMENT = re.compile(r"(?P<times>\d+)(?P<separator>[:-])(?P<spec>.+)")
_ORDER = {name: place for place, name in enumerate(FAULTS)}
_LONGEST_FIRST = sorted(FAULTS, key=len, reverse=True)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A fault that was asked for, with its argument (empty when none was given)."""

    fault: Fault
    argument: str


def without_markers(prompt: str) -> str:
    """Return the prompt as the simulated model sees it."""
    return _MARKER_AND_SPACE.sub("", prompt)


@dataclass(slots=True)
class Menu:
    """Reads requests for faults; remembers how often a flaky one has failed already."""

    _failures: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)

    def choose(self, api_key: str, prompt: str) -> list[Chosen]:
        """Return the faults that a request asks for, each once, in the order of the menu.

        Raises:
            BadFault: a name is not on the menu, or an argument is missing or not wanted.
        """
        chosen = {}
        for choice in _asked(api_key, prompt):
            settled = self._settle(choice, (api_key, last_words(prompt)))
            if settled is not None:
                chosen[settled.fault.name] = settled
        return sorted(chosen.values(), key=lambda choice: _ORDER[choice.fault.name])

    def _settle(self, choice: Chosen, source: tuple[str, str]) -> Chosen | None:
        if choice.fault is not FLAKY:
            return choice
        parts = _FLAKY_ARGUMENT.fullmatch(choice.argument)
        inner = parts and _parse(parts["spec"], parts["separator"])
        if not parts or not inner or inner.fault is FLAKY:
            raise BadFault(f"flaky takes N:NAME, not {choice.argument!r}")
        failed = self._failures.pop(source, 0)
        self._failures[source] = failed + 1
        if len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)
        return inner if failed < whole_number(parts["times"], 0) else None


def _asked(api_key: str, prompt: str) -> Iterator[Chosen]:
    if api_key.startswith(_KEY_PREFIX):
        choice = _parse(api_key.removeprefix(_KEY_PREFIX), "-")
        if choice is not None:
            yield choice
    for marker in _MARKER.finditer(prompt):
        choice = _parse(marker["spec"], ":")
        if choice is None:
            raise BadFault(f"no fault is named {marker['spec']!r}")
        yield choice


def _parse(spec: str, separator: str) -> Chosen | None:
    for name in _LONGEST_FIRST:
        if spec == name:
            return Chosen(FAULTS[name], "")
        if spec.startswith(name + separator):
            return _with_argument(FAULTS[name], spec[len(name) + 1 :])
    return None


def _with_argument(fault: Fault, argument: str) -> Chosen:
    if not fault.argument:
        raise BadFault(f"{fault.name} takes no argument")
    return Chosen(fault, argument)


def markdown() -> str:
    """Return the menu as the table of README.md."""
    rows = ["| Fault | Argument | In | What happens |", "| --- | --- | --- | --- |"]
    for fault in FAULTS.values():
        argument = f"`{fault.argument}`" if fault.argument else ""
        where = "streams" if fault.streams_only else "both"
        rows.append(f"| `{fault.name}` | {argument} | {where} | {fault.summary} |")
    return "\n".join(rows)
