"""1min.ai behind two doors: an OpenAI-compatible HTTP API and a typed gRPC service."""

from __future__ import annotations
