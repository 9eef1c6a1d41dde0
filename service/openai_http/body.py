"""Reads a JSON body within its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.errors import Reason, ServiceError
from service.openai_http.disconnect import ClientDisconnected
from service.openai_http.exchange import header
from service.openai_http.refusals import quoted

if TYPE_CHECKING:
    from starlette.types import Receive, Scope


async def read_json_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the body, at most `limit` bytes.

    Raises:
        ServiceError: `UNSUPPORTED_CONTENT_TYPE`, or `PAYLOAD_TOO_LARGE` as soon as the size is
            known, be it announced or counted.
        ClientDisconnected: The client left before its body was complete.
    """
    _check_content_type(scope)
    announced = header(scope, b"content-length")
    if announced is not None and announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _check_content_type(scope: Scope) -> None:
    given = header(scope, b"content-type") or ""
    media_type, _, _ = given.partition(";")
    if media_type.strip().lower() != "application/json":
        shown = quoted(media_type.strip())
        raise ServiceError(
            Reason.UNSUPPORTED_CONTENT_TYPE,
            f"Unsupported content type: '{shown}'. This API method only accepts "
            "'application/json' requests, but you specified the header "
            f"'Content-Type: {shown}'. Please try again with a supported content type.",
        )
    # A small compressed body may be a huge one.
    coding = (header(scope, b"content-encoding") or "identity").strip().lower()
    if coding != "identity":
        raise ServiceError(
            Reason.UNSUPPORTED_CONTENT_TYPE,
            f"Unsupported content encoding: '{quoted(coding)}'. Send the body uncompressed.",
        )


def _too_large(limit: int) -> ServiceError:
    return ServiceError(
        Reason.PAYLOAD_TOO_LARGE,
        f"Maximum content size limit ({limit} bytes) exceeded. The limit counts the whole body.",
        metadata={"limit": str(limit)},
    )
