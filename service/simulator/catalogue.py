"""The models the simulator offers, and which ids it takes.

The list is a sample of the provider's. Ids outside it are accepted when they look like a chat
model of a vendor the provider carries, so that the whole catalogue of the gateway can be tried
without repeating it here; anything else is unknown, as `no-such-model` is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

CHAT_FEATURE = "UNIFY_CHAT_WITH_AI"


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of `GET /models`; `context` and `max_output` are in tokens."""

    id: str
    title: str
    context: int | None = None
    max_output: int | None = None
    vision: bool = False
    status: str = "ACTIVE"
    deprecation_date: str | None = None


MODELS = (
    Model("gpt-5.4", "GPT-5.4 - OpenAI", vision=True),
    Model(
        "gpt-5",
        "GPT-5 - OpenAI",
        400_000,
        128_000,
        vision=True,
        deprecation_date="2026-12-09",
    ),
    Model("gpt-4.1", "GPT-4.1 - OpenAI", 1_047_576, 32_768, vision=True),
    Model("gpt-4o", "GPT-4o - OpenAI", 128_000, 16_384, vision=True),
    Model("gpt-4o-mini", "GPT-4o Mini - OpenAI", 128_000, 16_384, vision=True),
    Model("o3-mini", "o3 Mini - OpenAI", 200_000, 100_000, deprecation_date="2026-10-21"),
    Model("gpt-3.5-turbo", "GPT-3.5 Turbo - OpenAI", 16_385, 4_096, deprecation_date="2026-10-21"),
    Model("o1-mini", "o1 Mini - OpenAI", 128_000, 65_536, status="DISABLED"),
    Model(
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "Claude 4.5 Sonnet - AWS Bedrock",
        200_000,
        64_000,
        vision=True,
    ),
    Model(
        "gemini-2.5-flash",
        "Gemini 2.5 Flash - GoogleAI",
        1_048_576,
        65_536,
        vision=True,
        deprecation_date="2026-10-09",
    ),
    Model("mistral-large-latest", "Mistral Large - MistralAI", 128_000),
    Model("deepseek-flash", "DeepSeek Flash"),
    Model("meta/llama-4-maverick-instruct", "Llama 4 Maverick - Meta", vision=True),
    Model("sonar", "Sonar - Perplexity", 128_000),
)

_LISTED = {model.id: model for model in MODELS}

_NOT_CHAT = re.compile(r"image|imagine|tts|asr|transcribe|translate|musicgen")

_VENDORS = {
    "OPENAI": re.compile(r"(gpt-(\d|o\d)|o[134](-|$)|openai/)"),
    "ANTHROPIC": re.compile(r"(us\.anthropic\.)?claude-"),
    "GOOGLEAI": re.compile(r"gemini-\d|chat-bison"),
    "ALIBABA": re.compile(r"qwen[\d-]"),
    "MISTRAL": re.compile(r"(open-)?(mistral|mixtral)|(ministral|magistral|codestral|pixtral)-"),
    "DEEPSEEK": re.compile(r"deepseek-"),
    "XAI": re.compile(r"grok-"),
    "ZAI": re.compile(r"glm-\d"),
    "PERPLEXITY": re.compile(r"sonar(-|$)"),
    "COHERE": re.compile(r"command(-|$)"),
    "META": re.compile(r"meta/|llama-\d"),
    "MOONSHOTAI": re.compile(r"moonshotai/"),
}


def provider_of(model_id: str) -> str | None:
    """Return the upper-case vendor of a chat model id, or None when no vendor has such ids."""
    if _NOT_CHAT.search(model_id):
        return None
    matches = (vendor for vendor, pattern in _VENDORS.items() if pattern.match(model_id))
    return next(matches, None)


def is_supported(model_id: str) -> bool:
    """Tell whether a chat with this model is answered; listed but DISABLED ones are not."""
    listed = _LISTED.get(model_id)
    if listed is not None:
        return listed.status == "ACTIVE"
    return provider_of(model_id) is not None


def listing(feature: str | None) -> list[dict[str, Any]]:
    """Return the entries of `GET /models?feature=`; empty without a feature, as upstream."""
    if feature != CHAT_FEATURE:
        return []
    return [_entry(number, model) for number, model in enumerate(MODELS, start=1)]


def _entry(number: int, model: Model) -> dict[str, Any]:
    vendor = (provider_of(model.id) or "OTHER").lower()
    limits = {"INPUT": 1, "OUTPUT": 4}
    if model.context is not None:
        limits["CONTEXT"] = model.context
    if model.max_output is not None:
        limits["MAX_OUTPUT_TOKEN"] = model.max_output
    retired = model.deprecation_date
    return {
        "uuid": f"00000000-0000-4000-8000-{number:012d}",
        "modelId": model.id,
        "name": model.title,
        "group": vendor,
        "provider": vendor,
        "status": model.status,
        "cutoffDate": None,
        "deprecationDate": None if retired is None else f"{retired}T17:00:00.000Z",
        "logoUrl": f"resources/model-logos/{vendor}.webp",
        "features": [CHAT_FEATURE],
        "creditMetadata": limits,
        "modality": {"INPUT": ["text", "image"] if model.vision else ["text"], "OUTPUT": ["text"]},
        "information": None,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "createdBy": "SYSTEM",
        "updatedAt": "2026-09-30T00:00:00.000Z",
        "updatedBy": "SYSTEM",
        "numberOfStars": None,
        "creditEstimation": None,
    }
