"""What of an answer reaches the caller, and what the other calls answer."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from onemin.inference.v1 import chat_pb2, model_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.errors import Reason, ServiceError
from service.inference.limits import AnswerLimits
from service.translation.stream import AnswerStream
from service.upstream.payloads import ContentEvent
from tests.unit.inference.asking import BOTH, CALL, spec, streamed

pytestmark = pytest.mark.anyio

STOP = chat_pb2.FINISH_REASON_STOP
LENGTH = chat_pb2.FINISH_REASON_LENGTH
FILTERED = chat_pb2.FINISH_REASON_CONTENT_FILTER


@BOTH
async def test_an_answer_has_an_id_a_model_a_time_and_the_providers_usage(service, ask):
    answer = await ask(service, spec(temperature=0.5))

    assert answer.id.startswith("chatcmpl-")
    assert (answer.model, answer.text) == ("gpt-4o", "one two three")
    assert answer.create_time.seconds > 0
    assert answer.finish_reason == STOP
    assert not answer.usage.estimated
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert answer.usage.credits > 0
    assert list(answer.ignored_parameters) == ["temperature"]


CUTS = {
    "a stop sequence": ({"stop_sequences": ["two"]}, "one ", STOP, 2),
    "a limit of tokens": ({"max_completion_tokens": 2}, "one two", LENGTH, 2),
    "a limit that is not reached": ({"max_completion_tokens": 50}, "one two three", STOP, None),
    "a stop that does not occur": ({"stop_sequences": ["four"]}, "one two three", STOP, None),
}


@BOTH
@pytest.mark.parametrize("fault", ["", " [[fault:one-chunk]]"], ids=["in pieces", "at once"])
@pytest.mark.parametrize(("sampling", "text", "reason", "tokens_"), CUTS.values(), ids=CUTS)
async def test_the_limits_of_a_request_are_kept(
    service, ask, fault, sampling, text, reason, tokens_
):
    answer = await ask(service, spec(f"repeat: one two three{fault}", **sampling))

    assert (answer.text, answer.finish_reason) == (text, reason)
    assert answer.usage.estimated is (tokens_ is not None)
    if tokens_:
        assert answer.usage.completion_tokens == tokens_


async def test_nothing_follows_a_cut(service):
    held = "\N{GLOBE WITH MERIDIANS} Cr"  # may begin a line of a search, so it waits for more
    prompt = f"repeat: one STOP\n{held} [[fault:raw-text]][[fault:one-chunk]]"
    answer = await streamed(service, spec(prompt, search=True, stop_sequences=["STOP"]))
    assert (answer.text, answer.finish_reason) == ("one ", STOP)


async def test_a_cut_answer_closes_the_call_at_the_provider(service, simulator):
    prompt = "repeat: one two three [[fault:endless]] cut here"
    answer = await streamed(service, spec(prompt, max_completion_tokens=1))

    assert answer.finish_reason == LENGTH
    (exchange,) = [seen for seen in simulator.seen if prompt in str(seen.body)]
    await simulator.until(lambda: exchange.state == "aborted")


@BOTH
@pytest.mark.parametrize("fault", ["no-usage", "zero-usage"])
async def test_without_the_providers_figures_tokens_are_counted_here(service, ask, fault):
    answer = await ask(service, spec(f"repeat: one two three [[fault:{fault}]]"))

    assert answer.usage.estimated
    assert answer.usage.completion_tokens == 3
    assert answer.usage.prompt_tokens > 3


FINISHES = {"finish-length": LENGTH, "finish-safety": FILTERED}


@BOTH
@pytest.mark.parametrize(("fault", "reason"), FINISHES.items())
async def test_the_providers_word_for_the_ending_is_kept(service, ask, fault, reason):
    assert (await ask(service, spec(f"Hello [[fault:{fault}]]"))).finish_reason == reason


@BOTH
async def test_a_searched_answer_has_no_progress_lines(service, ask):
    answer = await ask(service, spec("What is new?", search=True))

    assert answer.text
    assert "Crawling site" not in answer.text


@BOTH
async def test_an_alias_answers_under_its_name_and_a_substitute_under_its_own(service, ask):
    alias = await ask(service, spec(model="claude-sonnet-4-5"))
    retired = await ask(service, spec(model="gpt-4"))

    assert alias.model == "claude-sonnet-4-5"
    assert retired.model == "gpt-4o"


@BOTH
async def test_an_unknown_model_costs_no_call(service, simulator, ask):
    before = len(simulator.seen)
    with pytest.raises(ServiceError) as refused:
        await ask(service, spec(model="no-such-model"))

    assert refused.value.reason is Reason.MODEL_NOT_FOUND
    assert len(simulator.seen) == before


async def test_what_one_read_gives_is_one_list(service):
    request = pb.StreamChatCompletionRequest(spec=spec("repeat: one two three [[fault:one-chunk]]"))
    async with aclosing(service.stream_chat_completion(request, CALL)) as reads:
        kinds = [[event.WhichOneof("event") for event in events] async for events in reads]

    assert kinds == [["started", "delta", "delta", "delta"], ["completed"]]


async def test_text_that_came_is_handed_on_before_the_failure(service, metrics):
    request = pb.StreamChatCompletionRequest(
        spec=spec("Hello [[fault:error-midway]]", max_completion_tokens=500)
    )
    events = []

    async def collect():
        async for read in service.stream_chat_completion(request, CALL):
            events.extend(read)

    with pytest.raises(ServiceError) as failed:
        await collect()

    assert failed.value.reason is Reason.UPSTREAM_UNAVAILABLE
    assert events[0].HasField("started")
    assert all(event.delta.text for event in events[1:])
    assert len(events) > 1
    labels = {"model": "gpt-4o", "kind": "completion"}
    assert metrics.registry.get_sample_value("onemin_tokens_total", labels) > 0


async def test_text_that_came_is_handed_on_before_a_bug(service, monkeypatch):
    whole = AnswerStream.feed

    def feed(self, event):
        if event == ContentEvent(" three"):
            raise ZeroDivisionError
        return whole(self, event)

    monkeypatch.setattr(AnswerStream, "feed", feed)
    request = pb.StreamChatCompletionRequest(spec=spec("repeat: one two three [[fault:one-chunk]]"))
    texts = []

    async def collect():
        async for read in service.stream_chat_completion(request, CALL):
            texts.extend(event.delta.text for event in read)

    with pytest.raises(ZeroDivisionError):
        await collect()
    assert "".join(texts) == "one two"


async def test_an_answer_that_began_with_a_bug_is_counted(service, monkeypatch, metrics):
    def feed(_self, _text):
        raise ZeroDivisionError

    monkeypatch.setattr(AnswerLimits, "feed", feed)
    request = pb.StreamChatCompletionRequest(spec=spec("Hello [[fault:raw-text]]"))
    async with aclosing(service.stream_chat_completion(request, CALL)) as reads:
        assert [event.WhichOneof("event") for event in await anext(reads)] == ["started"]
        with pytest.raises(ZeroDivisionError):
            await anext(reads)
    labels = {"model": "gpt-4o", "kind": "prompt"}
    assert metrics.registry.get_sample_value("onemin_tokens_total", labels) > 0


async def test_a_failure_before_acceptance_comes_without_an_event(service, metrics):
    request = pb.StreamChatCompletionRequest(spec=spec("Hello [[fault:error-first]]"))
    with pytest.raises(ServiceError):
        async with aclosing(service.stream_chat_completion(request, CALL)) as events:
            await anext(events)
    labels = {"model": "gpt-4o", "kind": "completion"}
    assert metrics.registry.get_sample_value("onemin_tokens_total", labels) is None


@BOTH
async def test_an_answer_without_a_text_is_a_failure(service, ask):
    with pytest.raises(ServiceError) as failed:
        await ask(service, spec("Hello [[fault:empty]]"))
    assert failed.value.reason is Reason.UPSTREAM_EMPTY


async def test_models_are_listed_in_pages(service):
    first = await service.list_models(pb.ListModelsRequest(page_size=2), CALL)
    second = await service.list_models(
        pb.ListModelsRequest(page_size=2, page_token=first.next_page_token), CALL
    )
    vision = await service.list_models(
        pb.ListModelsRequest(capability=model_pb2.MODEL_CAPABILITY_VISION), CALL
    )

    ids = [model.id for model in (*first.models, *second.models)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 4
    assert vision.models
    assert all(model_pb2.MODEL_CAPABILITY_VISION in model.capabilities for model in vision.models)


async def test_one_model_is_described(service):
    found = await service.get_model(pb.GetModelRequest(id="gpt-4o"), CALL)

    assert (found.model.id, found.model.owner) == ("gpt-4o", "openai")
    with pytest.raises(ServiceError):
        await service.get_model(pb.GetModelRequest(id="no-such-model"), CALL)


async def test_tokens_are_counted_without_the_provider(service, simulator):
    before = len(simulator.seen)
    request = pb.CountTokensRequest(spec=spec("hello world"))
    counted = await service.count_tokens(request, CALL)
    other = await service.count_tokens(
        pb.CountTokensRequest(spec=spec("hello world", model="gemini-2.5-flash")), CALL
    )

    assert (counted.token_count, counted.encoding, counted.estimated) == (9, "o200k_base", False)
    assert other.estimated
    assert len(simulator.seen) == before
