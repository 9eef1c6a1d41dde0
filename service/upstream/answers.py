"""Answers that come whole: records, refusals, pages. Reads them within bounds, then judges them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import orjson

from service.upstream.errors import UpstreamError, UpstreamMalformed, UpstreamUnavailable
from service.upstream.records import chat_record
from service.upstream.refusals import refusal_of_answer

if TYPE_CHECKING:
    from service.upstream.payloads import ChatRecord
    from service.upstream.transport import Answer

REFUSAL_LIMIT: Final = 64 << 10
"""Bytes of an error's body that are read."""

_HTML: Final = ("text/html", "application/xhtml+xml")


async def check_status(answer: Answer) -> None:
    """Return if `answer` is a success.

    Raises:
        UpstreamRefused: It is an error.
        UpstreamUnavailable: It leads elsewhere, where nobody goes with a key.
    """
    if answer.status >= 400:  # noqa: PLR2004  # the client and server errors of HTTP
        raise refusal_of_answer(
            answer.status,
            await _begin(answer),
            reason=answer.reason,
            retry_after=answer.retry_after,
            now=time.time(),
        )
    if not 200 <= answer.status < 300:  # noqa: PLR2004  # the successes of HTTP
        raise UpstreamUnavailable(f"the answer leads elsewhere: {answer.status}")


async def read_whole(answer: Answer, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        UpstreamMalformed: It is larger than `limit` bytes.
        UpstreamUnavailable, UpstreamTimeout: It did not come to its end.
    """
    body = await answer.read(limit)
    if len(body) > limit:
        raise UpstreamMalformed("the answer is larger than it may be")
    return body


def record_of(body: bytes | bytearray, media_type: str) -> ChatRecord:
    """Read the record in a whole body.

    Raises:
        UpstreamRefused: It is the record of a failure, or an error.
        UpstreamUnavailable: It is a page.
        UpstreamMalformed: It is neither.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse_page(body, media_type)
        raise UpstreamMalformed("the answer is not JSON") from None
    return chat_record(value)


def refuse_page(body: bytes | bytearray, media_type: str) -> None:
    """Raise `UpstreamUnavailable` if `body` is a page for people."""
    if media_type in _HTML or body.lstrip().startswith(b"<"):
        raise UpstreamUnavailable("a page came instead of an answer") from None


def is_whole(media_type: str) -> bool:
    """Tell whether a body of this type is a document, rather than a stream of text."""
    return media_type in (*_HTML, "application/json") or media_type.endswith("+json")


async def _begin(answer: Answer) -> bytes:
    try:
        return (await answer.read(REFUSAL_LIMIT))[:REFUSAL_LIMIT]
    except UpstreamError:
        # The status says more than how its explanation got lost.
        return b""
