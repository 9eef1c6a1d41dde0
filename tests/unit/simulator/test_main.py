from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import urllib.request

import pytest

from service.simulator.faults.menu import markdown

pytestmark = pytest.mark.anyio


async def start(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service.simulator",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finish(process):
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
async def test_it_says_where_it_listens_and_stops_cleanly(number):
    process = await start("--port", "0")
    async with asyncio.timeout(20):
        line = (await process.stdout.readline()).decode().strip()
    assert line.startswith("simulator listening on http://127.0.0.1:")
    url = line.rpartition(" ")[2]
    with await asyncio.to_thread(urllib.request.urlopen, f"{url}/_simulator/state") as answer:
        assert json.load(answer)["connections"] == 1
    process.send_signal(number)
    assert await finish(process) == (0, "", "")


async def test_a_taken_port_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = await finish(await start("--port", str(port)))
    assert (code, out) == (1, "")
    assert err.startswith(f"simulator: cannot listen on 127.0.0.1:{port}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--port", "65536"), "'65536' is not a port (0 to 65535)"),
        (("--port", "http"), "'http' is not a port (0 to 65535)"),
        (("--chunk-delay", "61"), "'61' is not a time of 0 to 60 seconds"),
        (("--chunk-delay", "x"), "'x' is not a time of 0 to 60 seconds"),
    ],
)
async def test_wrong_options_are_named(arguments, complaint):
    code, _, err = await finish(await start(*arguments))
    assert code == 2
    assert complaint in err


async def test_the_menu_can_be_printed():
    assert await finish(await start("--faults")) == (0, f"{markdown()}\n", "")
