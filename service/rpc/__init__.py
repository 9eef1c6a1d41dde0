"""The gRPC door, and the same service over a channel."""

from __future__ import annotations
