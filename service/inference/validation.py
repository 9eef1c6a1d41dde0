"""The rules written in the protos, checked: the only module that knows protovalidate.

Annotations hold syntax (ranges, lengths, what is required). What needs the catalogue or the
provider is code in the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import protovalidate

from onemin.inference.v1 import inference_service_pb2 as pb
from service.errors import Reason, ServiceError, Violation

if TYPE_CHECKING:
    from google.protobuf.message import Message

VIOLATION_LIMIT: Final = 16
"""More are not told: the details of an error ride in trailers."""

TOLD_WHOLE_BYTES: Final = 2048
"""Up to this size of a request all violations are looked for: each costs about 40 microseconds, and
the least message that breaks a rule has two bytes. Of a larger request only the first is told."""

_REQUESTS: Final = (
    pb.CreateChatCompletionRequest,
    pb.StreamChatCompletionRequest,
    pb.ListModelsRequest,
    pb.GetModelRequest,
    pb.CountTokensRequest,
)


class Validator:
    """Checks requests against their annotations."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    def warm(self) -> None:
        """Compile the rules of every request; the first use of a type takes milliseconds."""
        for request in _REQUESTS:
            self._validator.collect_violations(request())

    def check(self, request: Message) -> None:
        """Raise `INVALID_FIELD`, naming the fields, if the request breaks a rule."""
        found = self._validator.collect_violations(request, fail_fast=True)
        if not found:
            return
        if request.ByteSize() <= TOLD_WHOLE_BYTES:
            found = self._validator.collect_violations(request)
        violations = [_violation(each.proto) for each in found[:VIOLATION_LIMIT]]
        raise ServiceError(
            Reason.INVALID_FIELD,
            f"Invalid '{violations[0].field}': {violations[0].description}.",
            violations=violations,
        )


def _violation(proto: Any) -> Violation:
    path = ".".join(_element(each) for each in proto.field.elements)
    return Violation(path, proto.message, proto.rule_id)


def _element(element: Any) -> str:
    subscript = element.subscript
    return f"{element.field_name}[{subscript.value}]" if subscript else str(element.field_name)
