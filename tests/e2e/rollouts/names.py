"""`Names`: the name server of a headless Service.

It models what a cluster's DNS does for one: the name has an address for each ready pod, callers are
told only when they ask, and what they were told is good for a moment.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

HEADER_BYTES = 12
ADDRESS_QUESTION = struct.pack(">2H", 1, 1)
"""Type A, class IN."""

POINTER_TO_NAME = b"\xc0\x0c"
ANSWERED = 0x8400
"""A response, by the authority of the name, without an error."""

TIME_TO_LIVE = 1


class Names(asyncio.DatagramProtocol):
    """Answers any name with the addresses it holds."""

    def __init__(self):
        self.addresses: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def running(self):
        """Serve within the context, on a port of this machine."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self.port = transport.get_extra_info("sockname")[1]
        try:
            yield self
        finally:
            transport.close()

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, addr):
        question = data[HEADER_BYTES : data.index(0, HEADER_BYTES) + 1 + len(ADDRESS_QUESTION)]
        told = self.addresses if question.endswith(ADDRESS_QUESTION) else []
        answers = [
            struct.pack(">2sHHIH", POINTER_TO_NAME, 1, 1, TIME_TO_LIVE, 4) + socket.inet_aton(each)
            for each in told
        ]
        header = data[:2] + struct.pack(">5H", ANSWERED, 1, len(answers), 0, 0)
        self._transport.sendto(header + question + b"".join(answers), addr)
