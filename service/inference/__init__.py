"""The protobuf-defined service: what both doors call, free of any transport."""

from __future__ import annotations
