"""What callers write cannot forge a line of the log, reach a terminal, or grow the metrics."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from onemin.inference.v1 import inference_service_pb2 as pb
from tests.hostile.wire import AUTH, ask, chat, conversation, http, rpc, spec

pytestmark = pytest.mark.anyio

FORGED = '{"level": "info", "event": "forged"}'
INJECTIONS = {
    "a line": f"x\n{FORGED}",
    "CR": f"x\r{FORGED}",
    "a line separator": f"x\u2028{FORGED}",
    "NEL": f"x\u0085{FORGED}",
    "a quote": f'x", "event": "forged", "y": "{FORGED}',
    "colours": "\x1b[2J\x1b[31mx\x1b]0;title\x07",
    "C1 controls": "\x9b31mx\x90",
    "NUL and DEL": "x\x00\x7f",
    "right to left": "\u202ex",
    "Prometheus": 'x"} 1\nonemin_forged{a="b',
    "format": "%s%n{event}{0.__class__}",
}
NAMES = 300


@pytest.mark.parametrize("text", INJECTIONS.values(), ids=INJECTIONS)
async def test_no_text_of_a_caller_becomes_more_than_a_value(gateway, text, log):
    one = conversation(text, model=text, user=text, **{text: text})
    for body in (one, one | {"model": "gpt-4o-mini", "stop": text[:200]}):
        await ask(gateway.http_url, chat(body))
    await ask(gateway.http_url, http("GET", "/v1/models/x", AUTH, f"User-Agent: {text[:1]}"))
    for request in (spec(text, model=text[:200]), spec(text)):
        await rpc(gateway, "CreateChatCompletion", pb.CreateChatCompletionRequest(spec=request))
    await rpc(gateway, "GetModel", pb.GetModelRequest(id=text[:200]))
    lines = log.lines()
    assert len([line for line in lines if line["event"] == "call"]) >= 5
    assert not [line for line in lines if line["event"] == "forged"]
    assert log.text.replace("\n", "").isprintable()
    assert log.text.isascii()
    assert "forged" not in (await ask(gateway.ops_url, http("GET", "/metrics"))).body.decode()


def series(text):
    return {
        (sample.name, *sorted(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def metrics(gateway):
    return series((await ask(gateway.ops_url, http("GET", "/metrics"))).body.decode())


async def test_distinct_names_make_no_series(gateway):
    async def send(numbers):
        for number in numbers:
            body = conversation(model=f"model-{number}", user=f"user-{number}")
            path = f"/v1/path-{number}"
            await ask(gateway.http_url, chat(body, f"X-Request-ID: id-{number}"))
            await ask(gateway.http_url, http("GET", path, f"Authorization: Bearer key-{number}"))
            key = (("authorization", f"Bearer key-{number}"),)
            await rpc(gateway, "GetModel", pb.GetModelRequest(id=f"model-{number}"), key)

    await send([0])
    before = await metrics(gateway)
    await asyncio.gather(*(send(range(start, NAMES, 8)) for start in range(8)))
    after = await metrics(gateway)
    assert after == before
    assert not [name for name in after if "model-" in str(name) or "key-" in str(name)]
