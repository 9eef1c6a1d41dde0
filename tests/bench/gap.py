"""The longest time in which the gateway's event loop did nothing else, among open streams."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.bench import load
from tests.bench.measure import PACE, PACED_EVENTS
from tests.bench.processes import Server, until_ok
from tests.bench.requests import MODEL, body, prose
from tests.bench.targets import Target

if TYPE_CHECKING:
    from tests.bench.measure import Bench

STREAMS: Final = 50
PAIRS: Final = 8
"""How often a prompt of 100 kB and an image of 1 MB are sent, one after the other."""

PROMPT_CHARS: Final = 100_000
IMAGE_BYTES: Final = 1_000_000

_QUIET_SECONDS: Final = 1.0


def measure_gap(bench: Bench) -> None:
    """Note the gap with streams alone, and with heavy requests among them; milliseconds.

    The image is refused where the gateway takes none; reading and judging it is work all the same.
    """
    with bench.world.process("watched", module="tests.bench.watched") as (pid, ports):
        until_ok(f"http://127.0.0.1:{ports.ops}/readyz")
        target = Target("watched", Server((pid,)), ports.http)
        bench.warm([target])
        streams = threading.Thread(
            target=load.streams,
            args=(bench.world, target),
            kwargs={"count": STREAMS, "events": PACED_EVENTS, "pace": PACE},
        )
        streams.start()
        time.sleep(_QUIET_SECONDS)
        _worst(ports.gap)
        time.sleep(_QUIET_SECONDS / 2)
        bench.results.add("gap/quiet/gateway", _worst(ports.gap))
        _send_heavy(ports.http)
        bench.results.add("gap/heavy/gateway", _worst(ports.gap))
        streams.join()


def _worst(port: int) -> float:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        return 1000 * float(connection.recv(64))


def _send_heavy(port: int) -> None:
    source = random.Random(2)
    for _ in range(PAIRS):
        _send(port, body([_user(prose(source, PROMPT_CHARS))], stream=False))
        _send(port, _image(source))


def _send(port: int, content: bytes) -> None:
    headers = {"Authorization": f"Bearer {load.WHOLE_KEY}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/chat/completions", content, headers)
    connection.getresponse().read()
    connection.close()


def _user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _image(source: random.Random) -> bytes:
    pixels = source.randbytes(IMAGE_BYTES * 3 // 8).hex()  # any legal base64 will do
    url = f"data:image/png;base64,{pixels}{pixels[: IMAGE_BYTES - len(pixels)]}"
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return orjson.dumps({"model": MODEL, "messages": [_user(parts)]})
