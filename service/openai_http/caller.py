"""The headers of a request to a `Call`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.call import Call, Protocol, credential_from, traceparent_from
from service.openai_http.exchange import Exchange, header

if TYPE_CHECKING:
    from starlette.types import Scope


def call_from(scope: Scope) -> Call:
    """Return the call; done before the body is read, so that 401 beats 400.

    Raises:
        ServiceError: `MISSING_API_KEY` or `INVALID_API_KEY`.
    """
    return Call(
        request_id=Exchange.of(scope).request_id,
        credential=credential_from(header(scope, b"authorization")),
        protocol=Protocol.HTTP,
        deadline=None,
        traceparent=traceparent_from(header(scope, b"traceparent")),
    )
