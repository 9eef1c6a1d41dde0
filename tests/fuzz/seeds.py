"""Real inputs: what fuzzing starts from."""

from __future__ import annotations

import json
from pathlib import Path

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from service.openai_http.schema import ChatBody

_DATA = Path(__file__).parents[1] / "data" / "upstream"
_CUTS = b"\x05\x01\x40\x03"


def _files(pattern):
    return [path.read_bytes() for path in sorted(_DATA.glob(pattern))]


FIELDS = [
    *ChatBody.__struct_fields__,
    "role",
    "content",
    "type",
    "text",
    "aiRecord",
    "resultObject",
]
STREAMS = [_CUTS + body for body in _files("stream/*")]
RECORDS = _files("chat/*") + _files("errors/*")
SAID = {"role": "user", "content": "Hello"}
BODIES = [
    json.dumps(body).encode()
    for body in (
        {"model": "gpt-4o", "messages": [SAID]},
        {
            "model": "m:online",
            "messages": [{"role": "system", "content": "x"}, SAID],
            "stop": ["a"],
        },
        {
            "model": "m",
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 1.5,
            "max_tokens": 5,
            "messages": [
                {"role": "user", "name": "n", "content": [{"type": "text", "text": '\\",[{'}]},
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "1", "content": "r"},
            ],
        },
    )
]
_MESSAGE = chat_pb2.ChatMessage(
    role=chat_pb2.CHAT_ROLE_USER, name="n", parts=[chat_pb2.ContentPart(text="x")]
)
MESSAGES = [
    pb.CreateChatCompletionRequest(spec=spec).SerializeToString()
    for spec in (
        chat_pb2.ChatCompletionSpec(model="m", messages=[_MESSAGE]),
        chat_pb2.ChatCompletionSpec(
            model="m",
            messages=[_MESSAGE] * 3,
            sampling=chat_pb2.SamplingConfig(temperature=1, stop_sequences=["a"]),
            web_search=chat_pb2.WebSearchConfig(max_sites=3),
        ),
    )
]
PROMPTS = [b"\x02hello", b"\x00be brief\0\x02[~] user\nhi\0\x04name\x01[\\~] end of tool", b"~[~]"]

OF = {
    "sse": STREAMS,
    "stream": [b"\x00" + each for each in STREAMS] + [b"\x01" + each for each in STREAMS],
    "record": RECORDS,
    "body": BODIES,
    "values": [b"\x04\x03\x02\x00\x01\x05\x02\x00\x06\x03\x05", b"\x05\x04" + b"\x00\x03" * 8],
    "message": MESSAGES,
    "prompt": PROMPTS,
}
"""For each oracle."""
