from __future__ import annotations

import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from service.inference.invariants import InvariantBroken, StreamInvariants

Response = pb.StreamChatCompletionResponse
STARTED = Response(started=Response.Started(id="x"))
DELTA = Response(delta=Response.Delta(text="x"))
EMPTY = Response(delta=Response.Delta())
COMPLETED = Response(completed=Response.Completed())
NOTHING = Response()


def run(events):
    invariants = StreamInvariants()
    for event in events:
        invariants.check(event)
    invariants.close()


@pytest.mark.parametrize(
    "events",
    [[STARTED, COMPLETED], [STARTED, DELTA, COMPLETED], [STARTED, DELTA, DELTA, COMPLETED]],
)
def test_what_a_stream_looks_like(events):
    run(events)


BROKEN = {
    "no event at all": [],
    "no start": [DELTA, COMPLETED],
    "no end": [STARTED, DELTA],
    "two starts": [STARTED, STARTED, COMPLETED],
    "two ends": [STARTED, COMPLETED, COMPLETED],
    "text after the end": [STARTED, COMPLETED, DELTA],
    "a start after the end": [STARTED, COMPLETED, STARTED],
    "an empty delta": [STARTED, EMPTY, COMPLETED],
    "an event of no kind": [STARTED, NOTHING, COMPLETED],
}


@pytest.mark.parametrize("events", BROKEN.values(), ids=BROKEN)
def test_what_it_never_looks_like(events):
    with pytest.raises(InvariantBroken):
        run(events)
