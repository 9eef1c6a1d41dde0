"""Callers of one door: streams that are always open, and whole answers at a steady pace."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import grpc.aio

from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from tests.e2e.programs import PATIENCE
from tests.e2e.rollouts.fleet import CHUNK_DELAY
from tests.lifecycle.process import spec

MODEL = "gpt-4o-mini"
SHIPPED = Path(__file__).parents[3] / "k8s" / "grpc-service-config.json"

STREAMS = 200
WORDS = 20
STREAM_SECONDS = WORDS * CHUNK_DELAY
PAUSE = 0.05
"""Seconds between two whole answers that are asked for."""

LATENCY = 0.3
CALLERS = 8
"""How many keys call, each on a connection of its own: a key has a limit of its own."""


class NotWhole(Exception):
    """An answer ended as if it were whole, and is not."""


class Refused(Exception):
    """An answer came with a status that is no success."""


class GrpcDoor:
    """Callers that balance over what DNS tells, with the service config that is shipped."""

    failures = (grpc.aio.AioRpcError,)

    def __init__(self, fleet):
        options = [
            ("grpc.service_config", SHIPPED.read_text()),
            # Each caller is a process of its own in the field.
            ("grpc.use_local_subchannel_pool", 1),
            # 30 s in the field.
            ("grpc.dns_min_time_between_resolutions_ms", 500),
        ]
        self._channels = [
            grpc.aio.insecure_channel(fleet.grpc_target, options) for _ in range(CALLERS)
        ]
        self._stubs = [InferenceServiceStub(channel) for channel in self._channels]

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for channel in self._channels:
            await channel.close()

    async def stream(self, prompt, caller):
        request = pb.StreamChatCompletionRequest(spec=spec(prompt, MODEL))
        call = self._stubs[caller].StreamChatCompletion(request, **_options(caller))
        events = [event async for event in call]
        if not events[-1].HasField("completed"):
            raise NotWhole
        return "".join(event.delta.text for event in events)

    async def whole(self, prompt, caller):
        request = pb.CreateChatCompletionRequest(spec=spec(prompt, MODEL))
        return (await self._stubs[caller].CreateChatCompletion(request, **_options(caller))).text


class HttpDoor:
    """Callers through nginx.

    Each call has a connection of its own: nginx closes those that are idle when it is told of a
    change, and a request that is on its way then is lost, whatever the gateway does.
    """

    failures = (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, Refused)

    def __init__(self, fleet):
        self._url = f"{fleet.http_url}/v1/chat/completions"
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self._session = await self._stack.enter_async_context(session)
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def stream(self, prompt, caller):
        async with self._ask(prompt, caller, stream=True) as answer:
            events = [line[6:].strip() async for line in answer.content if line[:6] == b"data: "]
        if events[-1] != b"[DONE]":
            raise NotWhole(events[-1])
        choices = [choice for each in events[:-1] for choice in json.loads(each)["choices"]]
        if choices[-1]["finish_reason"] != "stop":
            raise NotWhole(choices[-1])
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    async def whole(self, prompt, caller):
        async with self._ask(prompt, caller) as answer:
            document = await answer.json()
        return document["choices"][0]["message"]["content"]

    @asynccontextmanager
    async def _ask(self, prompt, caller, **options):
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **options}
        headers = {"authorization": f"Bearer caller-{caller}"}
        async with self._session.post(self._url, json=body, headers=headers) as answer:
            if answer.status != 200:
                raise Refused(answer.status, await answer.text())
            yield answer


@dataclass
class Load:
    """What was asked for by name, and what came of it: the failure, or None for a whole answer."""

    outcomes: dict[str, Exception | None] = field(default_factory=dict)
    open_streams: int = 0
    _numbers: itertools.count = field(default_factory=itertools.count)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def failures(self):
        return {word: failure for word, failure in self.outcomes.items() if failure}

    @asynccontextmanager
    async def running(self, door):
        """Call `door` within the context; what is open at its end is waited for."""
        async with asyncio.TaskGroup() as group:
            for number in range(STREAMS):
                group.create_task(self._stream_on(door, number))
            group.create_task(self._ask_on(door, group))
            try:
                yield self
            finally:
                self._ending.set()

    async def until_all_streams_are_open(self):
        async with asyncio.timeout(PATIENCE):
            while self.open_streams < STREAMS:  # noqa: ASYNC110  # polls a count that many change
                await asyncio.sleep(0.05)

    async def _stream_on(self, door, number):
        # Not all at once, so that some stream is at its begin and some at its end at any time.
        await asyncio.sleep(STREAM_SECONDS * number / STREAMS)
        while not self._ending.is_set():
            self.open_streams += 1
            await self._ask(door.stream, " ".join(["word"] * WORDS))
            self.open_streams -= 1

    async def _ask_on(self, door, group):
        while not self._ending.is_set():
            group.create_task(self._ask(door.whole, f"word [[fault:latency:{LATENCY}]]"))
            await asyncio.sleep(PAUSE)

    async def _ask(self, method, words):
        number = next(self._numbers)
        name = f"call-{number}"
        expected = f"{name} {words.partition(' [[')[0]}"
        try:
            text = await method(f"repeat: {name} {words}", number % CALLERS)
            self.outcomes[name] = None if text == expected else NotWhole(text)
        except Exception as failure:  # noqa: BLE001  # the test says which ones it allows
            self.outcomes[name] = failure


def _options(caller):
    return {"metadata": (("authorization", f"Bearer caller-{caller}"),), "timeout": PATIENCE}
