"""Sends whole answers, and the headers that tell how an answer differs from what was asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Send

IGNORED_LIMIT: Final = 1000
"""Characters of the list of ignored parameters."""

_HEADER_SAFE: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,256}")

Headers = list[tuple[bytes, bytes]]


async def send_json(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send a whole JSON answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                # The JavaScript SDK gives a bare string for any other type.
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


def difference_headers(asked: str, answered: str, ignored: Iterable[str]) -> Headers:
    """Return headers that name the parameters that had no effect, and a model that was replaced."""
    headers: Headers = []
    names = _joined(sorted(set(ignored)))
    if names:
        headers.append((b"x-onemin-ignored-params", names.encode()))
    if asked != answered and _HEADER_SAFE.fullmatch(asked):
        headers.append((b"x-onemin-model-substituted", asked.encode()))
    return headers


def _joined(names: list[str]) -> str:
    safe = [name for name in names if _HEADER_SAFE.fullmatch(name)]
    while len(text := ",".join(safe)) > IGNORED_LIMIT:
        safe.pop()
    return text
