"""What goes out of a connection, in which writes."""

from __future__ import annotations

import pytest

from service.http_transport import JOINED, StagedTransport

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LARGE = b"a" * (JOINED + 1)


class Socket:
    """Stands where asyncio's transport stands, and notes what is written."""

    def __init__(self):
        self.written = []
        self.closed = False

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.closed = True

    def abort(self):
        self.closed = True

    def is_closing(self):
        return self.closed


@pytest.fixture
def socket():
    return Socket()


@pytest.fixture
def transport(socket):
    return StagedTransport(socket, Socket.close)


WRITES = {
    "a head alone waits": ([HEAD], []),
    "a head and its body": ([HEAD, b"body"], [HEAD + b"body"]),
    "a head and an empty body": ([HEAD, b""], [HEAD]),
    "what follows is written at once": ([HEAD, b"a", b"b"], [HEAD + b"a", b"b"]),
    "much is not copied": ([HEAD, LARGE], [HEAD, LARGE]),
    "two heads": ([HEAD, HEAD, b"a"], [HEAD, HEAD + b"a"]),
    "a body like a head": ([HEAD, b"HTTP/1.1 is", b" old"], [HEAD, b"HTTP/1.1 is old"]),
    "the word to go on": ([CONTINUE], [CONTINUE]),
    "the word to go on, then an answer": ([CONTINUE, HEAD, b"a"], [CONTINUE, HEAD + b"a"]),
}


@pytest.mark.parametrize(("given", "written"), WRITES.values(), ids=WRITES)
def test_a_head_goes_out_with_what_follows_it(transport, socket, given, written):
    for data in given:
        transport.write(data)
    assert socket.written == written


@pytest.mark.parametrize("end", [StagedTransport.flush, StagedTransport.close])
def test_a_head_without_a_body_goes_out_at_the_end(transport, socket, end):
    transport.write(HEAD)
    end(transport)
    end(transport)
    assert socket.written == [HEAD]


def test_what_is_written_after_the_end_goes_nowhere(transport, socket):
    transport.close()
    for data in (HEAD, b"body"):
        transport.write(data)
    transport.flush()
    assert socket.written == []
    assert transport.is_closing()


def test_a_connection_that_is_lost_gets_no_head(transport, socket):
    transport.write(HEAD)
    socket.closed = True
    transport.close()
    assert socket.written == []
