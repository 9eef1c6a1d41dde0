"""The headers of a request to a `Call`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.call import Call, Protocol, credential_from, traceparent_from
from service.errors import Reason, ServiceError
from service.openai_http.exchange import Exchange, header

if TYPE_CHECKING:
    from starlette.types import Scope


def call_from(scope: Scope) -> Call:
    """Return the call; done before the body is read, so that 401 beats 400.

    Raises:
        ServiceError: `MISSING_API_KEY` or `INVALID_API_KEY`.
    """
    # Of two a proxy in front may have checked the other one.
    if [name for name, _ in scope["headers"]].count(b"authorization") > 1:
        raise ServiceError(Reason.INVALID_API_KEY, "There is more than one Authorization header.")
    return Call(
        request_id=Exchange.of(scope).request_id,
        credential=credential_from(header(scope, b"authorization")),
        protocol=Protocol.HTTP,
        deadline=None,
        traceparent=traceparent_from(header(scope, b"traceparent")),
    )
