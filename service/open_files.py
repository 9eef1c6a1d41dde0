"""The limit of open files, which each call takes two of: its caller's socket and the provider's."""

from __future__ import annotations

import resource
from typing import Final

import structlog

FILES_PER_CALL: Final = 2

SPARE: Final = 128
"""For ports, probes, idle connections and the process itself."""

_log = structlog.get_logger("service.open_files")


def make_room(calls: int) -> None:
    """Raise this process's own limit, so far as it may, to what `calls` at once need.

    Too low a limit shows as a provider that cannot be reached, so the log says when it stays so.
    """
    needed = calls * FILES_PER_CALL + SPARE
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit >= needed:
        return
    reached = needed if most == resource.RLIM_INFINITY else min(needed, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reached, most))
    if reached < needed:
        _log.warning("too few open files are allowed", limit=reached, needed=needed)
