"""Faults on the wire: pace, network chunks, and broken connections."""

from __future__ import annotations

import zlib

from service.simulator.delivery import Delivery, Ending
from service.simulator.faults.kinds import MAX_BYTES, WireFault, seconds, whole_number
from service.simulator.stream import EVENT_STREAM, Event

_SLOW_PARTS = 10
_TORN_CHARACTER = "日".encode()[:1]
_REFRAIN = Event("content", {"content": " and so on"}).frame().encode()


def _is_stream(delivery: Delivery) -> bool:
    return delivery.headers["Content-Type"] == EVENT_STREAM


def _gzip_bomb(delivery: Delivery, argument: str) -> None:
    size = whole_number(argument, 10 * 1024 * 1024, MAX_BYTES)
    # Both forms stay valid: JSON may begin with white space, a stream with a comment.
    padding = b":" + b" " * size + b"\n\n" if _is_stream(delivery) else b" " * size
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    body = packer.compress(padding + b"".join(delivery.pieces)) + packer.flush()
    delivery.headers["Content-Encoding"] = "gzip"
    delivery.pieces = [body]
    if delivery.length is not None:
        delivery.length = len(body)


def _wrong_content_type(delivery: Delivery, argument: str) -> None:
    delivery.headers["Content-Type"] = argument or "application/octet-stream"


def _one_chunk(delivery: Delivery, _argument: str) -> None:
    delivery.pieces = [b"".join(delivery.pieces)]


def _cut_utf8(delivery: Delivery, _argument: str) -> None:
    delivery.chop = (1, 2, 3)


def _byte_by_byte(delivery: Delivery, _argument: str) -> None:
    delivery.chop = (1,)


def _latency(delivery: Delivery, argument: str) -> None:
    delivery.before_head = seconds(argument, 1)


def _first_byte(delivery: Delivery, argument: str) -> None:
    delivery.after_head = seconds(argument, 1)


def _slow(delivery: Delivery, argument: str) -> None:
    delivery.between = seconds(argument, 0.1)
    if len(delivery.pieces) == 1:
        body = delivery.pieces[0]
        size = -(-len(body) // _SLOW_PARTS) or 1
        delivery.pieces = [body[start : start + size] for start in range(0, len(body), size)]


def _endless(delivery: Delivery, argument: str) -> None:
    delivery.pieces = delivery.until_middle()[0]
    delivery.between = seconds(argument, 0.005)
    delivery.refrain = _REFRAIN


def _stall(delivery: Delivery, argument: str) -> None:
    count = whole_number(argument, 3)
    pieces = delivery.pieces if len(delivery.pieces) > 1 else delivery.until_middle()[0]
    delivery.pieces = pieces[:count]
    delivery.ending = Ending.SILENCE


def _hang(delivery: Delivery, _argument: str) -> None:
    delivery.head = False
    delivery.ending = Ending.SILENCE


def _reset(delivery: Delivery, _argument: str) -> None:
    delivery.head = False
    delivery.ending = Ending.RESET


def _reset_after_head(delivery: Delivery, _argument: str) -> None:
    delivery.pieces = []
    delivery.ending = Ending.RESET


def _reset_midway(delivery: Delivery, _argument: str) -> None:
    delivery.pieces = delivery.until_middle()[0]
    delivery.ending = Ending.RESET


def _close_midway(delivery: Delivery, _argument: str) -> None:
    delivery.pieces = delivery.until_middle()[0]
    delivery.ending = Ending.CLOSE


def _tear(delivery: Delivery) -> None:
    before, torn = delivery.until_middle()
    delivery.pieces = [*before, torn[: len(torn) // 2]]


def _close_in_event(delivery: Delivery, _argument: str) -> None:
    _tear(delivery)
    delivery.ending = Ending.CLOSE


def _close_in_char(delivery: Delivery, _argument: str) -> None:
    _tear(delivery)
    delivery.pieces[-1] += _TORN_CHARACTER
    delivery.ending = Ending.CLOSE


def _clean_close_in_event(delivery: Delivery, _argument: str) -> None:
    _tear(delivery)
    if delivery.length is not None:
        delivery.length = sum(map(len, delivery.pieces))


WIRE_FAULTS = (
    WireFault(
        "gzip-bomb",
        "gzip although identity was asked, inflating to more than BYTES",
        "BYTES=10485760",
        edit=_gzip_bomb,
    ),
    WireFault(
        "wrong-content-type",
        "a good answer under another content type",
        "TYPE=application/octet-stream",
        edit=_wrong_content_type,
    ),
    WireFault("one-chunk", "everything in one write", edit=_one_chunk),
    WireFault("cut-utf8", "writes of 1 to 3 bytes, cutting characters", edit=_cut_utf8),
    WireFault("byte-by-byte", "writes of one byte", edit=_byte_by_byte),
    WireFault("latency", "silence before the head", "S=1", edit=_latency),
    WireFault("first-byte", "the head at once, then silence", "S=1", edit=_first_byte),
    WireFault("slow", "silence between events, or tenths of a body", "S=0.1", edit=_slow),
    WireFault(
        "endless",
        "half of the events, then content events without end, S apart",
        "S=0.005",
        streams_only=True,
        edit=_endless,
    ),
    WireFault(
        "stall",
        "N events (half of a whole answer), then silence until the client leaves",
        "N=3",
        edit=_stall,
    ),
    WireFault("hang", "never answers", edit=_hang),
    WireFault("reset", "TCP reset before the head", edit=_reset),
    WireFault("reset-after-head", "TCP reset between head and body", edit=_reset_after_head),
    WireFault("reset-midway", "TCP reset after half of the answer", edit=_reset_midway),
    WireFault(
        "close-midway", "closed after half of the answer, body unfinished", edit=_close_midway
    ),
    WireFault("close-in-event", "closed inside an event, body unfinished", edit=_close_in_event),
    WireFault("close-in-char", "closed inside a character, body unfinished", edit=_close_in_char),
    WireFault(
        "clean-close-in-event",
        "ends inside an event, but HTTP calls the body complete",
        edit=_clean_close_in_event,
    ),
)
