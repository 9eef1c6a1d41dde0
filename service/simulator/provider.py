"""The provider's side of a request: checks in its order, then an answer, then the faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from service.simulator.catalogue import is_supported, listing
from service.simulator.chat_request import (
    BodyRefused,
    read_chat,
    read_document,
    read_model,
    read_prompt,
)
from service.simulator.delivery import Delivery, Ending
from service.simulator.faults import refusals
from service.simulator.faults.kinds import (
    BadFault,
    Canned,
    Refusal,
    SpeechFault,
    StreamFault,
    WireFault,
)
from service.simulator.faults.menu import Chosen, Menu, without_markers
from service.simulator.speech import speak, to_bytes, to_json
from service.simulator.stream import Stream, compose, error_event

if TYPE_CHECKING:
    from service.simulator.speech import Speech

JSON = "application/json; charset=utf-8"

ModelsMode = Literal["object", "array", "html", "hang"]


@dataclass(slots=True)
class Provider:
    """Turns requests into deliveries.

    `chunk_delay` is the time between two events of a stream in seconds. `models` chooses how
    `GET /models`, which needs no key and so cannot always be given a fault by it, is answered:
    in the provider's form, as the bare array one client reports, with a page, or never.
    """

    chunk_delay: float = 0.0
    models: ModelsMode = "object"
    _menu: Menu = field(default_factory=Menu)

    def chat(self, api_key: str, body: bytes, *, streaming: bool) -> Delivery:
        """Answer `POST /api/chat-with-ai`; `api_key` is empty when there was none."""
        if not api_key:
            return canned_delivery(refusals.UNAUTHORIZED)
        document = read_document(body)
        try:
            chosen = self._menu.choose(api_key, read_prompt(document))
            delivery = self._answer(document, chosen, streaming=streaming)
            _edit_wire(delivery, chosen, streaming=streaming)
        except BadFault as bad:
            return canned_delivery(refusals.bad_fault(str(bad)))
        return delivery

    def list_models(self, api_key: str, feature: str | None) -> Delivery:
        """Answer `GET /models`; only refusals and wire faults concern it."""
        try:
            chosen = self._menu.choose(api_key, "")
            refusal = _refusal(chosen)
            delivery = canned_delivery(refusal) if refusal else self._models(feature)
            _edit_wire(delivery, chosen, streaming=False)
        except BadFault as bad:
            return canned_delivery(refusals.bad_fault(str(bad)))
        return delivery

    def _models(self, feature: str | None) -> Delivery:
        if self.models == "html":
            return canned_delivery(refusals.html_answer(200, "1min.AI"))
        entries = listing(feature)
        if self.models == "array":
            return _json_delivery(entries)
        delivery = _json_delivery({"models": entries, "total": len(entries)})
        if self.models == "hang":
            delivery.head, delivery.ending = False, Ending.SILENCE
        return delivery

    def _answer(self, document: object, chosen: list[Chosen], *, streaming: bool) -> Delivery:
        refusal = _refusal(chosen)
        if refusal is not None:
            return canned_delivery(refusal)
        try:
            model = read_model(document)
            if not is_supported(model):
                return _refuse_model(model, streaming=streaming)
            request = read_chat(document)
        except BodyRefused as refused:
            return canned_delivery(refusals.body_refused(refused))
        speech = speak(
            request,
            without_markers(request.prompt),
            uuid=str(uuid4()),
            created_at=_now(),
        )
        _edit_speech(speech, chosen, streaming=streaming)
        return self._stream(speech, chosen) if streaming else _json_delivery(speech.payload)

    def _stream(self, speech: Speech, chosen: list[Chosen]) -> Delivery:
        stream = compose(speech)
        for choice in chosen:
            if isinstance(choice.fault, StreamFault):
                choice.fault.edit(stream, choice.argument)
        delivery = _stream_delivery(stream)
        delivery.between = self.chunk_delay
        return delivery


def canned_delivery(canned: Canned) -> Delivery:
    """Return a fixed answer as a delivery."""
    headers = {"Content-Type": canned.content_type, **dict(canned.headers)}
    return Delivery(canned.status, headers, [canned.body], length=len(canned.body))


def _json_delivery(payload: Any) -> Delivery:
    body = to_bytes(to_json(payload))
    return Delivery(200, {"Content-Type": JSON}, [body], length=len(body))


def _stream_delivery(stream: Stream) -> Delivery:
    headers = {"Content-Type": stream.content_type, "Cache-Control": "no-cache"}
    return Delivery(200, headers, stream.render())


def _refuse_model(model: str, *, streaming: bool) -> Delivery:
    if not streaming:
        return canned_delivery(refusals.unsupported_model(model))
    return _stream_delivery(Stream([error_event(refusals.unsupported_model_message(model))]))


def _refusal(chosen: list[Chosen]) -> Canned | None:
    for choice in chosen:
        if isinstance(choice.fault, Refusal):
            return choice.fault.answer(choice.argument)
    return None


def _edit_speech(speech: Speech, chosen: list[Chosen], *, streaming: bool) -> None:
    for choice in chosen:
        fault = choice.fault
        if isinstance(fault, SpeechFault) and (streaming or not fault.streams_only):
            fault.edit(speech, choice.argument)


def _edit_wire(delivery: Delivery, chosen: list[Chosen], *, streaming: bool) -> None:
    for choice in chosen:
        fault = choice.fault
        if isinstance(fault, WireFault) and (streaming or not fault.streams_only):
            fault.edit(delivery, choice.argument)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
