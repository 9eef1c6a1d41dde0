from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.http_server import HttpServer
from service.observability.metrics import Metrics
from service.openai_http.app import build_app
from service.readiness import Readiness, State
from service.settings import load
from service.stages import Stages
from tests.contract.scripted import MODEL, Event, ScriptedInference, completed, delta

KEY = "sk-test-key"
HEADERS = {"authorization": f"Bearer {KEY}"}
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
CREATED = Timestamp(seconds=1755133833)


def opened(model=MODEL, ignored=()):
    return Event(
        started=Event.Started(
            id="chatcmpl-1", model=model, create_time=CREATED, ignored_parameters=ignored
        )
    )


class Port(ScriptedInference):
    """The scripted port with an answer of chat that a test may change."""

    def __init__(self):
        super().__init__()
        usage = chat_pb2.TokenUsage(prompt_tokens=3, completion_tokens=2)
        self.events = [opened(), delta("Hi"), delta(" there"), completed()]
        self.response = pb.CreateChatCompletionResponse(
            id="chatcmpl-1",
            model=MODEL,
            create_time=CREATED,
            text="Hi there",
            finish_reason=chat_pb2.FINISH_REASON_STOP,
            usage=usage,
        )

        self.pages = [pb.ListModelsResponse()]

    async def create_chat_completion(self, request, call):
        return await self._answer(request, call, self.response)

    async def list_models(self, request, call):
        return await self._answer(request, call, self.pages.pop(0))


@dataclass
class Door:
    """The served OpenAI door: its address and what stands around it."""

    url: str
    port: Port
    metrics: Metrics
    readiness: Readiness
    client: httpx2.AsyncClient

    async def chat(self, *, headers=None, **fields):
        return await self.raw_chat(json.dumps({**BODY, **fields}), headers)

    async def raw_chat(self, content, headers=None):
        sent = {**HEADERS, "content-type": "application/json", **(headers or {})}
        return await self.client.post("/v1/chat/completions", content=content, headers=sent)

    async def get(self, path, **options):
        return await self.client.get(path, headers=HEADERS, **options)

    async def connect(self):
        _, _, address = self.url.rpartition("/")
        host, _, number = address.partition(":")
        return await asyncio.open_connection(host, int(number))

    def refused(self):
        """The reasons that were counted, each with its number."""
        [family] = self.metrics.refused.collect()
        return {
            sample.labels["reason"]: sample.value
            for sample in family.samples
            if sample.name.endswith("_total")
        }


@asynccontextmanager
async def open_door(port, **variables):
    environ = {f"ONE_MIN_{name.upper()}": str(value) for name, value in variables.items()}
    metrics, readiness = Metrics("test"), Readiness()
    readiness.move_to(State.READY)
    app = build_app(port, load(environ), metrics, readiness, Stages())
    server = HttpServer(app, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.bind()}"
    await server.start()
    try:
        async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
            yield Door(url, port, metrics, readiness, client)
    finally:
        await server.stop(0)


@pytest.fixture
def port():
    return Port()


@pytest.fixture
async def door(port):
    async with open_door(port) as door:
        yield door
