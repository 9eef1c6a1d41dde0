"""Calls of the client, as the tests of its parts make them."""

from __future__ import annotations

import json
from contextlib import aclosing

import orjson

from service.upstream.payloads import ChatPayload

KEY = "canary-key-4711"
PAYLOAD = ChatPayload("gpt-4o-mini", "canary-prompt")
DONE = b'event: done\ndata: {"message": "Stream completed"}\n\n'
VENDOR_BUSY = json.dumps(
    {
        "errorCode": "EXTERNAL_API_RESPONSE_WITH_ERROR",
        "details": json.dumps({"response": {"status": 429}}),
    }
).encode()
SUCCESS = b'{"aiRecord": {"status": "SUCCESS", "result": "hello"}}'


def content(text):
    return b"event: content\ndata: " + orjson.dumps({"content": text}) + b"\n\n"


def ask(client, payload=PAYLOAD, deadline=None):
    return client.chat(payload, credential=KEY, deadline=deadline)


def stream(client, payload=PAYLOAD, deadline=None):
    return client.stream_chat(payload, credential=KEY, deadline=deadline)


async def collect(events):
    """Return the events and, as the last of the list, the error that ended them."""
    seen = []
    try:
        async with aclosing(events):
            async for read in events:
                seen += read
    except Exception as error:  # noqa: BLE001  # it is what the tests look at
        seen.append(error)
    return seen


def kinds(events):
    return [type(event) for event in events]
