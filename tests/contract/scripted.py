"""An `InferenceApi` that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import weakref

from onemin.inference.v1 import chat_pb2, model_pb2
from onemin.inference.v1 import inference_service_pb2 as pb

Event = pb.StreamChatCompletionResponse
MODEL = "gpt-4o"


def spec(text="Hello", model=MODEL, **fields):
    part = chat_pb2.ContentPart(text=text)
    message = chat_pb2.ChatMessage(role=chat_pb2.CHAT_ROLE_USER, parts=[part])
    return chat_pb2.ChatCompletionSpec(model=model, messages=[message], **fields)


def started(model=MODEL):
    return Event(started=Event.Started(id="chatcmpl-1", model=model))


def delta(text):
    return Event(delta=Event.Delta(text=text))


def completed():
    usage = chat_pb2.TokenUsage(prompt_tokens=3, completion_tokens=2)
    done = Event.Completed(finish_reason=chat_pb2.FINISH_REASON_STOP, usage=usage)
    return Event(completed=done)


METHODS = {
    "create_chat_completion": (
        pb.CreateChatCompletionRequest(spec=spec()),
        pb.CreateChatCompletionResponse(id="chatcmpl-1", model=MODEL, text="Hi"),
    ),
    "list_models": (
        pb.ListModelsRequest(page_size=1),
        pb.ListModelsResponse(models=[model_pb2.Model(id=MODEL)], next_page_token="next"),
    ),
    "get_model": (
        pb.GetModelRequest(id=MODEL),
        pb.GetModelResponse(model=model_pb2.Model(id=MODEL, title="GPT-4o")),
    ),
    "count_tokens": (
        pb.CountTokensRequest(spec=spec()),
        pb.CountTokensResponse(token_count=8, encoding="o200k_base"),
    ),
}
"""A request and its scripted answer for each unary method."""

STREAM = pb.StreamChatCompletionRequest(spec=spec())


class Read(list):
    """A list of events that a weak reference can watch."""


async def watched_stream(opening, kept):
    """Yield a whole stream; note in `kept` what is left of a read while the next is waited for."""
    yield [opening]
    read = Read([delta("Hi")])
    given = weakref.ref(read)
    yield read
    del read
    await asyncio.sleep(0)
    kept.append(given())
    yield [completed()]


class ScriptedInference:
    """The port as a script.

    Attributes:
        model: Who answers chat.
        events: What a stream yields, one by one where they are not in a list; an exception among
            them is raised, `HANG` waits.
        failure: What a unary call raises; `HANG` waits.
        requests, calls: What came in, in order.
        entered, ended: Set when a call is reached, and when it is left in whatever way.
        left_in_order: Whether a stream was closed by the task that read it, and not by the
            garbage collector.
        crowded: Set when `CROWD` calls were reached.
        released: What `HANG` waits for.
    """

    HANG = object()
    CROWD = 8

    def __init__(self):
        self.model = MODEL
        self.events = [started(), delta("Hi"), delta(" there"), completed()]
        self.failure = None
        self.requests = []
        self.calls = []
        self.entered = asyncio.Event()
        self.ended = asyncio.Event()
        self.crowded = asyncio.Event()
        self.left_in_order = False
        self.released = asyncio.Event()

    async def create_chat_completion(self, request, call):
        answer = pb.CreateChatCompletionResponse(id="chatcmpl-1", model=self.model, text="Hi")
        return await self._answer(request, call, answer)

    async def stream_chat_completion(self, request, call):
        self._note(request, call)
        reader = asyncio.current_task()
        try:
            for event in self.events:
                if event is self.HANG:
                    await self.released.wait()
                elif isinstance(event, BaseException):
                    raise event
                else:
                    yield event if isinstance(event, list) else [event]
        finally:
            self.left_in_order = asyncio.current_task() is reader
            self.ended.set()

    async def list_models(self, request, call):
        return await self._answer(request, call, METHODS["list_models"][1])

    async def get_model(self, request, call):
        return await self._answer(request, call, METHODS["get_model"][1])

    async def count_tokens(self, request, call):
        return await self._answer(request, call, METHODS["count_tokens"][1])

    async def _answer(self, request, call, answer):
        self._note(request, call)
        try:
            if self.failure is self.HANG:
                await self.released.wait()
            elif self.failure is not None:
                raise self.failure
            return answer
        finally:
            self.ended.set()

    def _note(self, request, call):
        self.requests.append(request)
        self.calls.append(call)
        self.entered.set()
        if len(self.calls) == self.CROWD:
            self.crowded.set()
