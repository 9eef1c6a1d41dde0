"""Pure conversions between protobuf and the provider's values: no I/O, no clock."""

from __future__ import annotations
