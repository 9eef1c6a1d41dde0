"""The provider's HTTP API; knows neither protobuf nor OpenAI."""

from __future__ import annotations
