"""Everything that can go wrong with the provider, by whose fault it is and what is left to do.

    UpstreamError
        UpstreamRefused         the provider answered with an error of its own
        UpstreamUnavailable     no connection, or a page instead of an answer
        UpstreamMalformed       an answer that cannot be understood
        UpstreamTimeout         no answer in time
        UpstreamStalled         an answer that stopped coming
        UpstreamTruncated       an answer that broke off
        UpstreamEmpty           an answer that is complete and has no text

`service.translation.failure` is the one place that turns them into what a caller sees. Their texts
are the provider's own and may hold addresses and names: they go into logs, never to a caller.
"""

from __future__ import annotations

from typing import Final

_TOO_MANY_REQUESTS: Final = 429
_BEFORE_IT_BEGAN: Final = (500, 503)
_VENDOR_FAILED: Final = "EXTERNAL_API_RESPONSE_WITH_ERROR"


class UpstreamError(Exception):
    """The provider did not give a whole answer."""

    sent: bool
    """Whether the request may have reached the provider, so that a retry may be billed."""

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class UpstreamRefused(UpstreamError):
    """The provider answered with an error of its own.

    Attributes:
        status: The HTTP status; 200 where the error came inside a success.
        code: Its error code (`INSUFFICIENT_CREDITS`), or an empty string.
        message: Its text, or the reason phrase.
        inner_status: The status that the model's vendor gave to 1min.ai, where it is told.
        retry_after: Seconds that it asks to wait, where it does.
        is_json: Whether the provider itself answered, rather than a proxy in front of it.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        message: str,
        inner_status: int | None = None,
        retry_after: float | None = None,
        is_json: bool = True,
    ) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.inner_status = inner_status
        self.retry_after = retry_after
        self.is_json = is_json

    @property
    def failed_before_it_began(self) -> bool:
        """Whether nothing can have been generated, and the cause is one that passes.

        The provider's own 500 and 503 are such, and its 400 that says that the model's vendor was
        busy or down.
        """
        if self.code == _VENDOR_FAILED:
            inner = self.inner_status or 0
            return inner == _TOO_MANY_REQUESTS or inner >= min(_BEFORE_IT_BEGAN)
        return self.is_json and self.status in _BEFORE_IT_BEGAN


class UpstreamUnavailable(UpstreamError):
    """No connection could be made, it broke before the answer, or a page came instead."""


class UpstreamMalformed(UpstreamError):
    """The answer cannot be understood, or is larger than it may be."""


class UpstreamTimeout(UpstreamError):
    """No answer came in time."""


class UpstreamStalled(UpstreamError):
    """The answer had begun and then stopped coming."""


class UpstreamTruncated(UpstreamError):
    """The answer had begun and then broke off."""


class UpstreamEmpty(UpstreamError):
    """The answer is complete and has no text."""
