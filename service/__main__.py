"""`python -m service`: the gateway, from environment variables alone.

Exit codes: 0 after a signal to stop, 1 if a port cannot be had or a part failed, 2 if a setting is
wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import structlog

from service import app, lifecycle, open_files, tls
from service.observability import logging
from service.settings import Settings, SettingsError, load, unknown_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FAILED: Final = 1
MISUSED: Final = 2

_log = structlog.get_logger("service")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the end; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load(os.environ)
        tls.check_files(settings)
    except SettingsError as error:
        return _complain(error, FAILED if options.check_config else MISUSED)
    if options.check_config:
        print("onemin-gateway: the settings are legal")  # noqa: T201  # the answer to the option
        return 0
    logging.configure(settings.log_level)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(settings))
    except lifecycle.StartError as error:
        return _complain(error, FAILED)


async def _serve(settings: Settings) -> int:
    _log.info("starting", version=version("onemin-gateway"), settings=settings.describe())
    misspelt = unknown_names(os.environ)
    if misspelt:
        _log.warning("variables that are no settings", names=misspelt)
    open_files.make_room(settings.max_in_flight)
    return await lifecycle.run(app.build(settings), settings)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # the extra `fast`; without it asyncio's own loop runs
    except ImportError:
        return None
    return uvloop.new_event_loop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onemin-gateway", description="Settings are environment variables: see README.md."
    )
    parser.add_argument("--check-config", action="store_true", help="only check the settings")
    parser.add_argument("--version", action="version", version=version("onemin-gateway"))
    return parser


def _complain(error: Exception, code: int) -> int:
    print(f"onemin-gateway: {error}", file=sys.stderr)  # noqa: T201  # before there is a log
    return code


if __name__ == "__main__":
    sys.exit(main())
