"""A faithful 1min.ai on a loopback port, with a menu of faults.

It serves the two endpoints the gateway uses, `POST /api/chat-with-ai` (whole and streamed) and
`GET /models`, in the provider's own wire format, so that the gateway and its users can be tested
and tried without an account. Faults are asked for in the prompt (`[[fault:NAME:ARG]]`) or by the
API key (`sim-NAME-ARG`), so they work through any client; README.md beside this file lists them.

It is built on `aiohttp.web` rather than on an ASGI framework because it must own the socket: a
TCP reset, a connection closed in the middle of a chunk or of a character, and a client that left
are all things an ASGI server hides from its application.

Nothing in `service` imports this package, and it imports nothing from the rest of `service`.
"""

from __future__ import annotations

from service.simulator.app import Simulator
from service.simulator.traffic import Exchange

__all__ = ["Exchange", "Simulator"]
