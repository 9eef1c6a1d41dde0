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


def one_by_one(events):
    return [[event] for event in events]


def at_once(events):
    return [events]


COMING = pytest.mark.parametrize("coming", [one_by_one, at_once])


def run(reads):
    """Check what comes; return the kinds that were seen, by the read."""
    invariants = StreamInvariants()
    kinds = [invariants.check(events) for events in reads]
    invariants.close()
    return kinds


@COMING
@pytest.mark.parametrize(
    "events",
    [[STARTED, COMPLETED], [STARTED, DELTA, COMPLETED], [STARTED, DELTA, DELTA, COMPLETED]],
)
def test_what_a_stream_looks_like(events, coming):
    assert set.union(*run(coming(events))) == {event.WhichOneof("event") for event in events}


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


@COMING
@pytest.mark.parametrize("events", BROKEN.values(), ids=BROKEN)
def test_what_it_never_looks_like(events, coming):
    with pytest.raises(InvariantBroken):
        run(coming(events))
