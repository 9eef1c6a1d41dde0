"""The OpenAI door: decode, one call, encode."""

from __future__ import annotations
