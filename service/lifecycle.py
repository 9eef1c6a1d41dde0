"""One process, one event loop, several servers: how they begin and end together.

Theory of operation. `run` goes through these steps and through no others:

1. Every port is bound before anything slow happens. One that cannot be had ends the start with one
   line that names the variable and the port.
2. The servers start. From here on the probes are answered; readiness says no.
3. The background tasks start. One of them warms the process up, in threads, and moves `Readiness`
   to `READY`; in role `http` one follows the far side instead.
4. The process serves until one of three things happens: a signal to stop, a server that ended by
   itself, a background task that failed. The signal is the only good end.
5. `DRAINING`: readiness falls, everything is still served for `drain_delay`, because those who
   send traffic need seconds to learn. Skipped when the end is a failure.
6. All doors stop together: they take no new calls, and open ones get `drain_grace` to end. A call
   that is cut is cancelled, so that its upstream request ends too. `STOPPING` comes `CLOSING`
   seconds later, or with the last call, because a call may be half through a door that closes, and
   refusing it would be the only failure of a rollout.
7. The background tasks end, the provider's connections are closed, and the operations port, which
   has answered the probes all along, goes last.

This module is the one owner of SIGTERM and SIGINT. A second signal cuts every wait of 5 and 6
short. Servers that handle signals themselves, as uvicorn does by default, would stop accepting
before readiness fell (https://github.com/Kludex/uvicorn/pull/1600).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from service.readiness import Readiness, State
from service.settings import Settings, variable

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Iterable,
        Iterator,
        Mapping,
    )

    Work = Callable[[], Coroutine[Any, Any, None]]

YOUNG_OBJECTS: Final = 50_000
"""Objects after which the youngest are searched for cycles. Python's default (700 in 3.11) searches
so often that it meets the calls in flight: with 200 of them it took a tenth of a call's time. With
10,000 it still meets each of 500 streams, which costs up to 3 % of an event."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

CLOSING: Final = 0.5
"""Seconds for calls that were on their way when the doors were told to stop."""

OPERATIONS_GRACE: Final = 1.0
"""Seconds that a probe's own request gets to end."""

_log = structlog.get_logger("service.lifecycle")


class Server(Protocol):
    """What `run` asks of a server."""

    def bind(self) -> int:
        """Take the port and return its number; raise `OSError` if it cannot be had."""
        ...

    async def start(self) -> None:
        """Begin to serve."""
        ...

    async def wait_for_termination(self) -> None:
        """Return when the server has ended; raise what ended it."""
        ...

    async def stop(self, grace: float) -> None:
        """Stop within `grace` seconds; a second call with less shortens the first."""
        ...


@dataclass(frozen=True, slots=True)
class Gateway:
    """All parts of a process, built and not yet started.

    Attributes:
        doors: The servers of callers, by the setting that holds their port.
        operations: The server of the platform, likewise.
        work: Background tasks by name. One that returns is done; one that raises ends the process.
        close: Lets go of what calls need: the provider's connections, the channel.
        readiness: The state that doors and probes show.
    """

    doors: Mapping[str, Server]
    operations: Mapping[str, Server]
    work: Mapping[str, Work]
    close: Callable[[], Awaitable[None]]
    readiness: Readiness


class StartError(Exception):
    """The process cannot start; the text is a line for the operator."""


class StopSignals:
    """Counts the signals to stop: the first asks, the second insists."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()

    def receive(self, name: str) -> None:
        """Take one signal."""
        _log.info("signal", signal=name)
        (self.insisted if self.asked.is_set() else self.asked).set()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Own the process's signals within the context."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.receive, number.name)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)


async def warm_up(readiness: Readiness, steps: Iterable[Callable[[], object]]) -> None:
    """Do what the first calls would else wait for, in threads, then become ready."""
    await asyncio.gather(*(asyncio.to_thread(step) for step in steps))
    gc.collect()
    gc.freeze()  # what is here now stays: a full collection then skips it
    readiness.move_to(State.READY)
    _log.info("ready")


async def run(gateway: Gateway, settings: Settings) -> int:
    """Run until the end and return the exit code: 0 after a signal, 1 after a failure.

    Raises:
        StartError: A port cannot be had.
    """
    gc.set_threshold(YOUNG_OBJECTS)
    signals = StopSignals()
    with signals.installed():
        async with _closing(gateway):
            ports = {name: _bind(name, server, settings) for name, server in _servers(gateway)}
            for _, server in _servers(gateway):
                await server.start()
            _log.info("listening", host=settings.host, **ports)
            # Not cancelled at the end: in grpc.aio that would cancel the wait of `stop` as well.
            watches = {
                asyncio.create_task(server.wait_for_termination(), name=name)
                for name, server in _servers(gateway)
            }
            async with _working(gateway) as tasks:
                failed = await _until_the_end(watches, tasks, signals)
                await _drain(
                    gateway, settings, signals, delay=0 if failed else settings.drain_delay
                )
    _log.info("stopped", failed=failed)
    return 1 if failed else 0


def _servers(gateway: Gateway) -> list[tuple[str, Server]]:
    return [*gateway.doors.items(), *gateway.operations.items()]


def _bind(name: str, server: Server, settings: Settings) -> int:
    try:
        return server.bind()
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        reason = "the port is taken" if is_taken else error.strerror or error
        wanted = f"{variable(name)}={getattr(settings, name)}"
        raise StartError(f"{wanted} cannot be bound on {settings.host}: {reason}") from None


@contextlib.asynccontextmanager
async def _closing(gateway: Gateway) -> AsyncIterator[None]:
    """Leave no server and no connection behind, whatever happens within."""
    try:
        yield
    finally:
        for server in gateway.doors.values():
            await server.stop(0)
        await gateway.close()
        for server in gateway.operations.values():
            await server.stop(OPERATIONS_GRACE)


@contextlib.asynccontextmanager
async def _working(gateway: Gateway) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(work(), name=name) for name, work in gateway.work.items()]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_the_end(
    servers: set[asyncio.Task[None]], tasks: Iterable[asyncio.Task[None]], signals: StopSignals
) -> bool:
    """Wait for what ends the process and return whether it is a failure."""
    asked = asyncio.create_task(signals.asked.wait())
    pending: set[asyncio.Task[Any]] = {asked, *servers, *tasks}
    try:
        while not asked.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {asked}:
                failure = asyncio.CancelledError() if task.cancelled() else task.exception()
                if task in servers or failure:
                    _log.error("ended", part=task.get_name(), exc_info=failure)
                    return True
        return False
    finally:
        asked.cancel()


async def _drain(
    gateway: Gateway, settings: Settings, signals: StopSignals, *, delay: float
) -> None:
    gateway.readiness.move_to(State.DRAINING)
    _log.info("draining", seconds=delay)
    await _wait(signals.insisted, delay)
    _log.info("stopping", seconds=settings.drain_grace)
    doors = gateway.doors.values()
    stopping = asyncio.gather(*(door.stop(settings.drain_grace) for door in doors))
    insisted = asyncio.ensure_future(signals.insisted.wait())
    ends: tuple[asyncio.Future[Any], ...] = (stopping, insisted)
    await asyncio.wait(ends, timeout=CLOSING, return_when=asyncio.FIRST_COMPLETED)
    gateway.readiness.move_to(State.STOPPING)
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    insisted.cancel()
    await asyncio.gather(stopping, *(door.stop(0) for door in doors if not stopping.done()))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
