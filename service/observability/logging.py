"""Structured logs: one JSON object a line, on standard output, as containers want them.

The service logs through structlog; the standard library's records, those of other libraries, take
the same way from `WARNING` on, whatever the level of ours: their debug lines show headers and
bodies. The renderer has two last resorts: it masks what is named or looks like a credential, and it
cuts long texts. Neither is a licence to log a key.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

VALUE_LIMIT: Final = 2048
"""Characters of one value."""

STACK_LIMIT: Final = 16_384
"""Characters of a stack trace; its end, which tells most, is kept."""

MASK: Final = "***"

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_SECRET_NAME: Final = re.compile(
    r"(proxy[-_])?authorization|(x[-_])?api[-_]?key|credentials?|(set[-_])?cookie|password|secret",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = re.compile(
    r"(?P<name>bearer\s+|api-?key['\"]?\s*[:=,]\s*b?['\"]?)[^\s'\",;)\]}]+", re.IGNORECASE
)


_SECRET_HINTS: Final = (
    "api",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "password",
    "secret",
    r"\u",
)
"""Every name and every text that is masked has one of these in it. The last is the escape of all
that is not ASCII: some of it passes for the letters of the others."""

_HARMLESS: Final = (bool, int, float, type(None), datetime)

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_UTC_Z
"""UTC is told by a Z. Of a dataclass orjson would show the fields that its `repr` leaves out, too."""


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of the process to `stream`, standard output if None, from `level` on."""
    output = stream or sys.stdout
    structlog.configure(
        processors=[begin, render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(output),
        # A stream that was given is taken away again.
        cache_logger_on_first_use=stream is None,
    )
    _route_standard_library(_LEVELS[level], output)


def begin(logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """Put what every line has first, because people read from the left."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, level, event)
    first = {"timestamp": datetime.now(UTC), "level": level, "event": event.get("event")}
    return {**first, **event, **first}


def render(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Return the line.

    Values are masked and cut only where the line shows a reason: looking at each of them cost more
    than all else that is done for a line.
    """
    line = _encoded(event)
    if len(line) <= VALUE_LIMIT and not _hints_at_secrets(line):
        return line
    masked = {name: _masked(name, value) for name, value in event.items()}
    return _encoded({name: _cut(name, value) for name, value in masked.items()})


def _encoded(value: object) -> str:
    """Return JSON in ASCII; orjson's, which takes a third of the time, where that is ASCII."""
    try:
        line = orjson.dumps(value, _plain, _OPTIONS)
    except TypeError:
        return _ENCODER.encode(value)
    return line.decode() if line.isascii() else _ENCODER.encode(value)


def _plain(value: object) -> str:
    """Return what stands for what is not JSON; a time as orjson writes it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return repr(value)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, default=_plain, separators=(",", ":"))


def _hints_at_secrets(line: str) -> bool:
    return any(map(line.lower().__contains__, _SECRET_HINTS))


def _route_standard_library(level: int, output: TextIO) -> None:
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[begin, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    logging.captureWarnings(capture=True)


def _masked(name: object, value: Any) -> Any:
    if isinstance(name, str) and _SECRET_NAME.fullmatch(name):
        return MASK
    if isinstance(value, str):
        return _SECRET_TEXT.sub(rf"\g<name>{MASK}", value)
    if isinstance(value, dict):
        return {key: _masked(key, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(None, item) for item in value]
    return value if isinstance(value, _HARMLESS) else _masked(None, repr(value))


def _cut(name: str, value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return value if len(text := _ENCODER.encode(value)) <= STACK_LIMIT else _cut("", text)
    if not isinstance(value, str):
        return value
    if name == "exception":
        over = len(value) - STACK_LIMIT
        return value if over <= 0 else f"[{over} more] {value[over:]}"
    over = len(value) - VALUE_LIMIT
    return value if over <= 0 else f"{value[:VALUE_LIMIT]} [{over} more]"
