"""`OneMinClient`: the calls to 1min.ai that this service makes.

https://docs.1min.ai/docs/api/chat-with-ai-api describes the chat endpoint.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

from service.upstream.answers import check_status, read_whole, record_of, refuse_page
from service.upstream.errors import UpstreamError, UpstreamTimeout
from service.upstream.models import models_from
from service.upstream.observation import Observer
from service.upstream.retries import Retries
from service.upstream.stream import MAX_BODY_BYTES, ChatReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from service.observability.metrics import Metrics
    from service.upstream.payloads import ChatEvent, ChatPayload, ChatRecord, ModelEntry, WebSearch
    from service.upstream.transport import Transport

CHAT_TYPE: Final = "UNIFY_CHAT_WITH_AI"

MAX_MODELS_BYTES: Final = 8 << 20
"""Bytes of the list of models; the provider's has about 200 kB."""

MODELS_TIMEOUT: Final = 60.0
"""Seconds for the list of models, end to end."""


class OneMinClient:
    """The provider's API. Any number of calls may run at once.

    Args:
        transport: How to reach it.
        metrics: Where requests, repetitions and skipped events are counted.
        retries: Whether calls that the provider cannot have charged for are made again.
    """

    def __init__(self, transport: Transport, metrics: Metrics, *, retries: bool) -> None:
        self._transport = transport
        self._observer = Observer(metrics)
        self._retries = retries
        self._chat = transport.endpoint("POST", "/api/chat-with-ai", "application/json")
        self._stream = transport.endpoint(
            "POST", "/api/chat-with-ai?isStreaming=true", "text/event-stream", head_at_once=True
        )
        self._models = transport.endpoint(
            "GET", f"/models?feature={CHAT_TYPE}", "application/json", head_at_once=True
        )

    async def chat(
        self, payload: ChatPayload, *, credential: str, deadline: float | None
    ) -> ChatRecord:
        """Answer a prompt as a whole.

        Args:
            payload: What to ask.
            credential: The caller's key, printable ASCII.
            deadline: On the loop's clock. Bounds waits between tries, not the tries: the caller
                cancels.

        Raises:
            UpstreamError: Whatever went wrong.
        """
        body = chat_body(payload)
        tries = Retries()
        while True:
            try:
                return await self._chat_once(body, credential)
            except UpstreamError as error:
                wait = self._wait_after(error, tries, "chat", deadline)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def stream_chat(
        self, payload: ChatPayload, *, credential: str, deadline: float | None
    ) -> AsyncGenerator[list[ChatEvent]]:
        """Answer a prompt while the answer is being written; arguments and errors as `chat`.

        Yields the events of each read, never none, so that what is done for a read is done once.
        Closing the iterator closes the connection, and so does cancelling the task that waits for
        it. A stream may end without `ResultEvent` and `DoneEvent`; whether that is an answer is for
        the reader to say.
        """
        body = chat_body(payload)
        del payload  # a stream is open for long: it keeps the body alone, and that until it begins
        tries = Retries()
        begun = False
        while True:
            try:
                with self._observer.attempt("stream_chat") as attempt:
                    async with await self._transport.send(
                        self._stream, body, credential=credential
                    ) as answer:
                        attempt.status = answer.status
                        await check_status(answer)
                        reader = await ChatReader.of(answer, len(body))
                        while events := await reader.read():
                            begun = True
                            body = b""  # it is not asked for again
                            attempt.note(events)
                            yield events
            except UpstreamError as error:
                wait = None if begun else self._wait_after(error, tries, "stream_chat", deadline)
                if wait is None:
                    raise
            else:
                return
            await asyncio.sleep(wait)

    async def list_models(self) -> list[ModelEntry]:
        """Read the provider's list of chat models, which is public: no key goes with it.

        Raises:
            UpstreamError: There is no list to be had.
        """
        try:
            async with asyncio.timeout(MODELS_TIMEOUT):
                return await self._list_models_once()
        except TimeoutError:
            raise UpstreamTimeout("the list of models did not come in time") from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _chat_once(self, body: bytes, credential: str) -> ChatRecord:
        with self._observer.attempt("chat") as attempt:
            async with await self._transport.send(
                self._chat, body, credential=credential
            ) as answer:
                attempt.status = answer.status
                await check_status(answer)
                whole = await read_whole(answer, MAX_BODY_BYTES)
            record = record_of(whole, answer.media_type)
            attempt.complete = True
            return record

    async def _list_models_once(self) -> list[ModelEntry]:
        with self._observer.attempt("list_models") as attempt:
            async with await self._transport.send(self._models) as answer:
                attempt.status = answer.status
                await check_status(answer)
                body = await read_whole(answer, MAX_MODELS_BYTES)
            refuse_page(body, answer.media_type)
            entries = models_from(body)
            attempt.complete = True
            return entries

    def _wait_after(
        self, error: UpstreamError, tries: Retries, operation: str, deadline: float | None
    ) -> float | None:
        if not self._retries:
            return None
        now = asyncio.get_running_loop().time()
        retry = tries.wait_after(error, now=now, deadline=deadline)
        if retry is None:
            return None
        cause, wait = retry
        self._observer.retry(operation, cause, wait)
        return wait


def chat_body(payload: ChatPayload) -> bytes:
    """Return the request that `payload` is."""
    prompt_object: dict[str, Any] = {"prompt": payload.prompt}
    if payload.web_search is not None:
        search = _web_search_settings(payload.web_search)
        prompt_object["settings"] = {"webSearchSettings": search}
    body = orjson.dumps({"type": CHAT_TYPE, "model": payload.model, "promptObject": prompt_object})
    # A copy: orjson's own bytes keep all that was reserved for them, eight times the prompt, and a
    # stream keeps its body.
    return bytes(memoryview(body))


def _web_search_settings(web_search: WebSearch) -> dict[str, Any]:
    search: dict[str, Any] = {"webSearch": True}
    if web_search.max_sites is not None:
        search["numOfSite"] = web_search.max_sites
    if web_search.max_words is not None:
        search["maxWord"] = web_search.max_words
    return search
