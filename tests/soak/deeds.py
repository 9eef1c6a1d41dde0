"""What clients do, each deed over real sockets; it fails if the ending is not the right one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onemin.inference.v1 import inference_service_pb2 as pb
from tests.contract.scripted import MODEL, spec
from tests.faults.checks import check, check_nothing_leaks
from tests.faults.deeds import LIMITED, OVERLOADED
from tests.faults.doors import (
    CHAT,
    HttpAnswer,
    ask,
    ask_grpc,
    grpc_metadata,
    http_body,
    http_headers,
    read_grpc,
    rpc,
)
from tests.faults.matrix import PROMPT, Case, Column, Failure, Whole
from tests.faults.wire import HttpCaller, call, request

if TYPE_CHECKING:
    from tests.faults.houses import House

LONG = "[[fault:giant-event:262144]]"
LONG_TEXT = "x" * 262_144
PER_KEY = 4
"""Calls that one key may have in flight; as many are held while one more is refused."""

DEADLINE = 1.5
"""Seconds; under every time-out of the gateway that is soaked."""

BAD_REQUEST = {"INVALID_JSON": 400, "UNKNOWN_URL": 404, "UNSUPPORTED_CONTENT_TYPE": 415}


@dataclass(frozen=True)
class Ground:
    """Where a deed is done: the doors, the provider's watch and a host that nobody may call."""

    house: House
    watch_url: str
    elsewhere: str

    async def seen(self, key: str) -> None:
        """Return once the provider was asked with this key."""
        answer = await self.house.http.get(f"{self.watch_url}/seen/{key}")
        assert answer.status_code == 200, f"the provider never saw it: {answer.status_code}"


async def make_call(ground: Ground, key: str, column: Column, case: Case) -> None:
    """Make one call and read it to its end, which is that of the fault matrix."""
    faults = case.faults.format(elsewhere=ground.elsewhere)
    answer = await ask(column, ground.house, key, faults)
    check(column, case, answer)
    check_nothing_leaks(answer.shown(), ground.house, key)


async def repeat(ground: Ground, key: str, column: Column, text: str) -> None:
    """Have a text said again, in many pieces."""
    answer = await _converse(ground.house, key, column, [f"repeat: {text}"])
    check(column, Case("", Whole(text)), answer)


async def tell_much(ground: Ground, key: str, column: Column, text: str) -> None:
    """Send a long conversation."""
    answer = await _converse(ground.house, key, column, [text, PROMPT])
    check(column, Case("", Whole()), answer)


async def stop_early(ground: Ground, key: str, column: Column) -> None:
    """Have the answer cut at a stop sequence, which leaves the rest at the provider."""
    answer = await _converse(ground.house, key, column, [PROMPT], stop=", 5")
    check(column, Case("", Whole("1, 2, 3, 4")), answer)


async def _converse(
    house: House, key: str, column: Column, turns: list[str], stop: str | None = None
) -> Any:
    if column.is_http:
        messages = [{"role": "user", "content": turn} for turn in turns]
        body = http_body(stream=column.is_streamed) | {"messages": messages, "stop": stop}
        url = house.http_url + CHAT
        answer = await house.http.post(url, json=body, headers=http_headers(key))
        return HttpAnswer(answer.status_code, dict(answer.headers), answer.content)
    wanted = spec()
    wanted.ClearField("messages")
    for turn in turns:
        wanted.messages.extend(spec(turn).messages)
    wanted.sampling.stop_sequences.extend([stop] if stop else [])
    metadata = grpc_metadata(key)
    if column.is_streamed:
        asked = pb.StreamChatCompletionRequest(spec=wanted)
        begun = house.stub.StreamChatCompletion(asked, metadata=metadata)
    else:
        begun = house.stub.CreateChatCompletion(
            pb.CreateChatCompletionRequest(spec=wanted), metadata=metadata
        )
    return await read_grpc(begun, stream=column.is_streamed)


async def leave_before(ground: Ground, key: str, column: Column, faults: str) -> None:
    """Leave when the provider has the request and has said nothing."""
    caller = await call(column, ground.house, key, faults)
    await ground.seen(key)
    await caller.leave()


async def leave_midway(ground: Ground, key: str, column: Column) -> None:
    """Leave when a part of the text has come."""
    caller = await call(column, ground.house, key, "[[fault:stall:4]]")
    await caller.read_until(b"2")
    await caller.leave()


async def half_close(ground: Ground, key: str, column: Column) -> None:
    """Close the sending side and wait: it counts as leaving."""
    caller = await call(column, ground.house, key, "[[fault:hang]]")
    await ground.seen(key)
    await caller.half_close()


async def read_slowly(ground: Ground, key: str, column: Column) -> None:
    """Do not read for a while what is more than the sockets hold."""
    caller = await call(column, ground.house, key, LONG)
    await ground.seen(key)
    await asyncio.sleep(0.5)
    if column.is_http:
        check(column, Case(LONG, Whole(LONG_TEXT)), await caller.read_all())
    else:
        assert await caller.read_text() == LONG_TEXT


async def send_slowly(ground: Ground, key: str, column: Column) -> None:
    """Send the body in drips."""
    caller = await HttpCaller.open(ground.house)
    head, body = request(key, stream=column.is_streamed)
    caller.send(head)
    for start in range(0, len(body), 16):
        caller.send(body[start : start + 16])
        await asyncio.sleep(0.01)
    check(column, Case("", Whole()), await caller.read_all())


async def run_out_of_time(ground: Ground, key: str, column: Column) -> None:
    """Have a deadline that is shorter than the provider's answer."""
    faults = "[[fault:stall:4]]" if column.is_after else "[[fault:hang]]"
    begun = rpc(ground.house, key, faults, stream=column.is_streamed, seconds=DEADLINE)
    answer = await read_grpc(begun, stream=column.is_streamed)
    assert answer.code == "DEADLINE_EXCEEDED"
    assert any(message.HasField("delta") for message in answer.messages) is column.is_after
    check_nothing_leaks(answer.shown(), ground.house, key)


async def decline_to_wait(ground: Ground, key: str, column: Column) -> None:
    """Have a deadline before the wait that a 429 asks for."""
    faults = "[[fault:rate-limited-retry-after:8]]"
    answer = await ask_grpc(ground.house, key, faults, stream=column.is_streamed, seconds=5)
    check(column, Case(faults, LIMITED), answer)


async def crowd(ground: Ground, key: str, column: Column) -> None:
    """Take all places of a key, be refused one more, and leave all at once."""
    callers = [await call(column, ground.house, key, "[[fault:stall:4]]") for _ in range(PER_KEY)]
    await asyncio.gather(*(caller.read_until(b"2") for caller in callers))
    before = Column.HTTP_BEFORE if column.is_http else Column.GRPC_BEFORE
    check(before, Case("", OVERLOADED), await ask(before, ground.house, key))
    await asyncio.gather(*(caller.leave() for caller in callers))


async def list_models(ground: Ground, key: str, column: Column) -> None:
    house = ground.house
    if column.is_http:
        answer = await house.http.get(f"{house.http_url}/v1/models", headers=http_headers(key))
        assert MODEL in {model["id"] for model in answer.json()["data"]}
    else:
        listed = await house.stub.ListModels(
            pb.ListModelsRequest(page_size=1), metadata=grpc_metadata(key)
        )
        assert len(listed.models) == 1


async def get_model(ground: Ground, key: str, column: Column) -> None:
    house = ground.house
    if column.is_http:
        url = f"{house.http_url}/v1/models/{MODEL}"
        assert (await house.http.get(url, headers=http_headers(key))).json()["id"] == MODEL
    else:
        found = await house.stub.GetModel(pb.GetModelRequest(id=MODEL), metadata=grpc_metadata(key))
        assert found.model.id == MODEL


async def count_tokens(ground: Ground, key: str) -> None:
    counted = await ground.house.stub.CountTokens(
        pb.CountTokensRequest(spec=spec("one two three")), metadata=grpc_metadata(key)
    )
    assert counted.token_count > 2


async def send_nonsense(ground: Ground, key: str, reason: str) -> None:
    """Send over HTTP what is refused before the service is reached."""
    url = ground.house.http_url + ("/v1/nothing" if reason == "UNKNOWN_URL" else CHAT)
    kind = "text/plain" if reason == "UNSUPPORTED_CONTENT_TYPE" else "application/json"
    headers = http_headers(key) | {"content-type": kind}
    answer = await ground.house.http.post(url, content=b'{"model": ', headers=headers)
    assert answer.status_code == BAD_REQUEST[reason], answer.text


async def send_noise(ground: Ground, key: str) -> None:
    """Send over gRPC bytes that are no message."""
    method = ground.house.channel.unary_unary(
        "/onemin.inference.v1.InferenceService/CreateChatCompletion"
    )
    answer = await read_grpc(method(b"\xff\xff", metadata=grpc_metadata(key)), stream=False)
    assert answer.code == "INVALID_ARGUMENT", answer.shown()


async def forget_key(ground: Ground, _: str, column: Column) -> None:
    house = ground.house
    if column.is_http:
        answer = await house.http.post(house.http_url + CHAT, json=http_body())
        assert answer.status_code == 401, answer.text
    else:
        begun = house.stub.CreateChatCompletion(pb.CreateChatCompletionRequest(spec=spec()))
        assert (await read_grpc(begun, stream=False)).code == "UNAUTHENTICATED"


async def mistake_model(ground: Ground, key: str, column: Column) -> None:
    house = ground.house
    if column.is_http:
        body = http_body() | {"model": "no-such-model"}
        url = house.http_url + CHAT
        answer = await house.http.post(url, json=body, headers=http_headers(key))
        assert answer.json()["error"]["code"] == "model_not_found"
    else:
        wanted = pb.CreateChatCompletionRequest(spec=spec(model="no-such-model"))
        begun = house.stub.CreateChatCompletion(wanted, metadata=grpc_metadata(key))
        assert (await read_grpc(begun, stream=False)).code == "NOT_FOUND"


def reason_of(outcome: Failure | Whole) -> str:
    """Return how the metrics call an outcome."""
    return "OK" if isinstance(outcome, Whole) else outcome.reason
