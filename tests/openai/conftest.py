from __future__ import annotations

from contextlib import asynccontextmanager

import openai
import pytest

from tests.conftest import KEY

MODEL = "gpt-4o"


def ask(prompt, **more):
    """The arguments of one question."""
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **more}


@asynccontextmanager
async def connected(gateway, **options):
    """The official client, unmodified; it validates answers and does not retry."""
    defaults = {"api_key": KEY, "max_retries": 0, "_strict_response_validation": True}
    url = f"{gateway.http_url}/v1"
    async with openai.AsyncOpenAI(base_url=url, **(defaults | options)) as client:
        yield client


@pytest.fixture
async def client(gateway):
    async with connected(gateway) as client:
        yield client
