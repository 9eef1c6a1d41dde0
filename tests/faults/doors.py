"""A call at either door, and all that its caller was shown."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from onemin.inference.v1 import inference_service_pb2 as pb
from tests.contract.scripted import spec
from tests.faults.matrix import PROMPT

CHAT = "/v1/chat/completions"


@dataclass
class HttpAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    def shown(self):
        return f"{self.status} {self.headers}\n{self.body.decode()}"

    @property
    def error(self):
        return json.loads(self.body)["error"]

    def events(self):
        """Return the events of a stream, parsed; fails if anything else is in it."""
        blocks = self.body.decode().split("\n\n")
        assert blocks.pop() == ""
        events = [block for block in blocks if block != ": keep-alive"]
        assert all(event.startswith("data: ") and "\n" not in event for event in events)
        return [
            event if event == "data: [DONE]" else json.loads(event.removeprefix("data: "))
            for event in events
        ]


@dataclass
class GrpcAnswer:
    code: str = "OK"
    message: str = ""
    initial: dict[str, str] = field(default_factory=dict)
    trailing: dict[str, str | bytes] = field(default_factory=dict)
    messages: list[object] = field(default_factory=list)

    def shown(self):
        details = [repr(self.details(kind)) for kind in DETAILS]
        said = [repr(message) for message in self.messages]
        return "\n".join(
            [self.code, self.message, str(self.initial), str(self.trailing), *details, *said]
        )

    def details(self, kind):
        """Return the details of a type, all that there are."""
        status = Status.FromString(self.trailing.get("grpc-status-details-bin", b""))
        found = []
        for packed in status.details:
            detail = getattr(error_details_pb2, kind)()
            if packed.Unpack(detail):
                found.append(detail)
        return found


DETAILS = ("ErrorInfo", "RequestInfo", "RetryInfo", "BadRequest", "QuotaFailure", "ResourceInfo")


def http_body(faults="", *, stream=False, **fields):
    messages = [{"role": "user", "content": f"{PROMPT} {faults}"}]
    return {"model": "gpt-4o", "messages": messages, "stream": stream, **fields}


def http_headers(key, request_id="the-id"):
    return {"authorization": f"Bearer {key}", "x-request-id": request_id}


async def ask_http(house, key, faults="", *, stream=False):
    """Make one call and read its answer to the end."""
    answer = await house.http.post(
        f"{house.http_url}{CHAT}", json=http_body(faults, stream=stream), headers=http_headers(key)
    )
    return HttpAnswer(answer.status_code, dict(answer.headers), answer.content)


def grpc_metadata(key, request_id="the-id"):
    return (("authorization", f"Bearer {key}"), ("x-request-id", request_id))


def rpc(house, key, faults="", *, stream=False, seconds=30):
    """Begin one call."""
    wanted = spec(f"{PROMPT} {faults}")
    options = {"metadata": grpc_metadata(key), "timeout": seconds}
    if stream:
        return house.stub.StreamChatCompletion(
            pb.StreamChatCompletionRequest(spec=wanted), **options
        )
    return house.stub.CreateChatCompletion(pb.CreateChatCompletionRequest(spec=wanted), **options)


async def ask_grpc(house, key, faults="", *, stream=False, seconds=30):
    """Make one call and read its answer to the end."""
    return await read_grpc(rpc(house, key, faults, stream=stream, seconds=seconds), stream=stream)


async def read_grpc(call, *, stream):
    answer = GrpcAnswer()
    try:
        if stream:
            async for message in call:
                answer.messages.append(message)
        else:
            answer.messages.append(await call)
    except grpc.aio.AioRpcError as error:
        answer.code, answer.message = error.code().name, error.details() or ""
    answer.initial = dict(await call.initial_metadata() or ())
    answer.trailing = dict(await call.trailing_metadata() or ())
    return answer


async def ask(column, house, key, faults=""):
    """Make one call as a column of the matrix says."""
    door = ask_http if column.is_http else ask_grpc
    return await door(house, key, faults, stream=column.is_streamed)
