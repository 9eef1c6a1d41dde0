"""`python -m service.demo`, behind `make run`: the gateway over the simulator, until Ctrl-C.

Both are processes of their own, started by module name. With `ONE_MIN_API_URL` given there is no
simulator: the gateway alone runs over what the variable names. Everything else is the gateway's
own affair, its settings included, except that it stops soon unless the settings say otherwise:
nobody balances load here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from service.settings import Settings, SettingsError, load, variable

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

SIMULATOR: Final = (sys.executable, "-m", "service.simulator", "--port", "0")
GATEWAY: Final = (sys.executable, "-m", "service")

STOP_TIMEOUT: Final = 60.0
"""Seconds after which a process that does not stop is killed."""

PROBE_INTERVAL: Final = 0.1
"""Seconds between two looks whether the gateway is ready."""

_BANNER: Final = """
  OpenAI door   {http}/v1
  gRPC door     {host}:{grpc_port}
  operations    {ops}/readyz and /metrics
  provider      {provider}

Try it from another terminal:

  curl -N {http}/v1/chat/completions -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model":"gpt-4o-mini","stream":true,"messages":[{{"role":"user","content":"Hello!"}}]}}'

  .venv/bin/python -c '
import grpc
from onemin.inference.v1 import chat_pb2, inference_service_pb2 as pb, inference_service_pb2_grpc
stub = inference_service_pb2_grpc.InferenceServiceStub(grpc.insecure_channel("{host}:{grpc_port}"))
text = chat_pb2.ContentPart(text="Hello!")
message = chat_pb2.ChatMessage(role=chat_pb2.CHAT_ROLE_USER, parts=[text])
spec = chat_pb2.ChatCompletionSpec(model="gpt-4o-mini", messages=[message])
key = [("authorization", "Bearer {key}")]
for event in stub.StreamChatCompletion(pb.StreamChatCompletionRequest(spec=spec), metadata=key):
    print(event.delta.text, end="", flush=True)
print()
'

Ctrl-C stops everything.
"""


def main() -> int:
    """Run until Ctrl-C; return the gateway's exit code."""
    try:
        settings = load(os.environ)
    except SettingsError as error:
        print(f"onemin-gateway: {error}", file=sys.stderr)  # noqa: T201  # a command line's error
        return 2
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    environment = {variable("drain_delay"): "0", variable("drain_grace"): "3", **os.environ}
    async with contextlib.AsyncExitStack() as processes:
        if not environment.get(variable("api_url")):
            simulator = await processes.enter_async_context(_process(*SIMULATOR))
            environment[variable("api_url")] = await _address(simulator)
        gateway = await processes.enter_async_context(_process(*GATEWAY, environment=environment))
        ended = asyncio.create_task(gateway.wait())
        if await _is_up(settings, ended, interrupted):
            print(_banner(settings, environment), flush=True)  # noqa: T201  # the point of a demo
        await _first(ended, asyncio.create_task(interrupted.wait()))
    code = await gateway.wait()
    return 0 if code == -signal.SIGTERM else code  # stopped by us before it minded signals


@contextlib.asynccontextmanager
async def _process(
    *command: str, environment: dict[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run a process that does not outlive the context.

    In a session of its own: the terminal's Ctrl-C reaches it once, through us.
    """
    pipe = asyncio.subprocess.PIPE if environment is None else None
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=pipe, start_new_session=True
    )
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _address(simulator: Process) -> str:
    """Return the URL that the simulator prints in its one line."""
    assert simulator.stdout is not None  # noqa: S101  # it was started with a pipe
    line = (await simulator.stdout.readline()).decode()
    return line.rpartition(" ")[2].strip()


async def _is_up(settings: Settings, ended: asyncio.Task[int], interrupted: asyncio.Event) -> bool:
    """Wait until the gateway is ready; False if there is no more use in waiting."""
    while not (ended.done() or interrupted.is_set()):
        if await _answers(settings):
            return True
        await asyncio.wait({ended}, timeout=PROBE_INTERVAL)
    return False


async def _answers(settings: Settings) -> bool:
    try:
        reader, writer = await asyncio.open_connection(settings.host, settings.ops_port)
    except OSError:
        return False
    try:
        writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
        return b" 200 " in await reader.readline()
    finally:
        writer.close()


async def _first(*tasks: asyncio.Task[object]) -> None:
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


def _banner(settings: Settings, environment: dict[str, str]) -> str:
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    is_simulated = not os.environ.get(variable("api_url"))
    provider = environment[variable("api_url")]
    return _BANNER.format(
        http=f"{scheme}://{host}:{settings.http_port}",
        ops=f"http://{host}:{settings.ops_port}",
        host=host,
        grpc_port=settings.grpc_port,
        provider=f"{provider} (simulator)" if is_simulated else provider,
        key="any-key" if is_simulated else "YOUR_1MIN_AI_KEY",
    )


if __name__ == "__main__":
    sys.exit(main())
