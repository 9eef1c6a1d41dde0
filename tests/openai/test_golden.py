"""The bytes of streams, as files to be read: `golden/NAME.sse`, ids and times normalised."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

from tests.conftest import KEY
from tests.openai.conftest import MODEL, ask

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parent / "golden"

PIECE = re.compile(r'(data: .*"delta":\{"content":")(.*)("\},"logprobs":.*)')

CASES = {
    "plain": ask("repeat: Hi there"),
    "usage": ask("repeat: Hi there", stream_options={"include_usage": True}),
    "stop": ask("repeat: one two three", stop=" three"),
    "length": ask("repeat: one two three", max_tokens=2),
    "content_filter": ask("repeat: Hi there [[fault:finish-safety]]"),
    "escapes": ask('repeat: "é" \\ \u2028 😀'),
    "online": ask("repeat: news") | {"model": f"{MODEL}:online"},
    "error_midway": ask("repeat: one two three four [[fault:error-midway]]"),
    "truncated": ask("repeat: Hi there [[fault:no-end]]"),
}


def normalised(transcript):
    transcript = re.sub(r'"id":"chatcmpl-[0-9a-f]{32}"', '"id":"chatcmpl-ID"', transcript)
    return re.sub(r'"created":\d{10,}', '"created":0', transcript)


def joined(transcript):
    """Return a stream with its pieces joined to one."""
    events = []
    for event in transcript.split("\n\n"):
        piece = PIECE.fullmatch(event)
        before = PIECE.fullmatch(events[-1]) if events and piece else None
        if piece and before:
            events[-1] = before[1] + before[2] + piece[2] + before[3]
        else:
            events.append(event)
    return "\n\n".join(events)


@pytest.mark.parametrize("name", CASES)
async def test_the_bytes_of_a_stream(gateway, name, request):
    shown = joined if "split" in request.node.callspec.id else str  # the hop may join any pieces
    async with httpx2.AsyncClient(base_url=gateway.http_url, trust_env=False) as client:
        response = await client.post(
            "/v1/chat/completions",
            json=CASES[name] | {"stream": True},
            headers={"authorization": f"Bearer {KEY}"},
        )
    assert response.status_code == 200
    expected = (GOLDEN / f"{name}.sse").read_text(encoding="utf-8")
    assert shown(normalised(response.content.decode())) == shown(expected)
