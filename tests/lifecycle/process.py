"""The product as processes, seen from outside: blocking clients only."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import grpc
import httpx2

from onemin.inference.v1 import chat_pb2, inference_service_pb2_grpc
from onemin.inference.v1 import inference_service_pb2 as pb

PATIENCE = 60.0
"""Seconds after which a test gives up; machines that run tests are busy."""


def free_port():
    """Return a port that was free a moment ago, of those that no client is given."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def clean_environment(**settings):
    """Return this process's environment with these settings of the gateway and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONE_MIN_")}
    return kept | {f"ONE_MIN_{name.upper()}": str(value) for name, value in settings.items()}


def run_gateway(*arguments, **settings):
    """Run the gateway to its end, which is expected soon."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def simulator():
    """Run the simulator and yield its URL."""
    command = [sys.executable, "-m", "service.simulator", "--port", "0", "--chunk-delay", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


class GatewayProcess:
    """A running gateway: its ports, what it printed, and clients for each door."""

    def __init__(self, **settings):
        any_free = dict.fromkeys(("http_port", "grpc_port", "ops_port"), 0)
        self.printed = []
        self.ports = {}
        self._listening = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            env=clean_environment(**{**any_free, "drain_delay": 0, **settings}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._listening.wait(PATIENCE)
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.ports.get('http_port', 0)}")
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.ports.get('grpc_port', 0)}")

    def _read(self):
        for line in iter(self._process.stdout.readline, ""):
            self.printed.append(line)
            if '"listening"' in line:
                fields = json.loads(line)
                self.ports = {name: fields[name] for name in fields if name.endswith("_port")}
                self._listening.set()
        self._listening.set()  # it will not

    def probe(self):
        """Return what `/readyz` says, `down` if nobody answers."""
        try:
            return httpx2.get(
                f"http://127.0.0.1:{self.ports.get('ops_port', 0)}/readyz"
            ).text.strip()
        except httpx2.TransportError:
            return "down"

    def metrics(self):
        return httpx2.get(f"http://127.0.0.1:{self.ports.get('ops_port', 0)}/metrics").text

    def until_probe_says(self, *answers):
        """Wait for one of the answers and return it."""
        end = time.monotonic() + PATIENCE
        while (answer := self.probe()) not in answers:
            assert self._process.poll() is None, "".join(self.printed)
            assert time.monotonic() < end, f"/readyz says {answer}: {''.join(self.printed)}"
            time.sleep(0.02)
        return answer

    def send(self, number=signal.SIGTERM):
        self._process.send_signal(number)

    def exit_code(self):
        return self._process.wait(PATIENCE)

    def logs(self):
        """Return the lines of the log, once the process has ended."""
        self._reader.join(PATIENCE)
        return [json.loads(line) for line in self.printed]

    def close(self):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self.http.close()
        self.channel.close()

    def stream_http(self, prompt, key="a-good-key"):
        """Yield the lines of an SSE answer."""
        body = {"model": "gpt-4o-mini", "stream": True}
        body["messages"] = [{"role": "user", "content": prompt}]
        headers = {"authorization": f"Bearer {key}"}
        url = "/v1/chat/completions"
        with self.http.stream("POST", url, json=body, headers=headers, timeout=PATIENCE) as answer:
            assert answer.status_code == 200, answer.read()
            yield from filter(None, answer.iter_lines())

    def stream_grpc(self, prompt, key="a-good-key"):
        """Yield the events of a gRPC stream."""
        stub = inference_service_pb2_grpc.InferenceServiceStub(self.channel)
        request = pb.StreamChatCompletionRequest(spec=spec(prompt))
        metadata = [("authorization", f"Bearer {key}")]
        yield from stub.StreamChatCompletion(request, metadata=metadata, timeout=PATIENCE)


def spec(prompt, model="gpt-4o-mini"):
    """Return a conversation of one user message."""
    part = chat_pb2.ContentPart(text=prompt)
    message = chat_pb2.ChatMessage(role=chat_pb2.CHAT_ROLE_USER, parts=[part])
    return chat_pb2.ChatCompletionSpec(model=model, messages=[message])
