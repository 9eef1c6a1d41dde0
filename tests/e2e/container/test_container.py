from __future__ import annotations

import threading
import time

import grpc
import openai
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from onemin.inference.v1 import chat_pb2
from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.rpc.servicer import SERVICE

# The first test waits for the base image and the build.
pytestmark = pytest.mark.timeout(1800)

MEGABYTE = 1_000_000
MODEL = "gpt-4o-mini"
SENTENCE = " ".join(["stream"] * 20)
PROMPT = f"repeat: {SENTENCE}"
KEY = (("authorization", "Bearer a-good-key"),)
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def spec():
    part = chat_pb2.ContentPart(text=PROMPT)
    message = chat_pb2.ChatMessage(role=chat_pb2.CHAT_ROLE_USER, parts=[part])
    return chat_pb2.ChatCompletionSpec(model=MODEL, messages=[message])


def ask(gateway, **options):
    client = openai.OpenAI(
        api_key="a-good-key", base_url=f"http://127.0.0.1:{gateway.http_port}/v1", max_retries=0
    )
    messages = [{"role": "user", "content": PROMPT}]
    return client.chat.completions.create(model=MODEL, messages=messages, **options)


def text_of(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_it_adds_less_than_200_megabytes_to_its_base(engine, base, image):
    added = engine.inspect(image)["Size"] - engine.inspect(base)["Size"]

    assert added < 200 * MEGABYTE


def test_what_it_says_of_itself(engine, image):
    config = engine.inspect(image)["Config"]

    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", "service"]
    assert config["ExposedPorts"].keys() == {"8080/tcp", "50051/tcp", "9090/tcp"}
    assert config["Labels"]["org.opencontainers.image.title"] == "onemin-gateway"
    assert config["Labels"]["org.opencontainers.image.version"] == image.partition(":")[2]
    assert len(config["Labels"]["org.opencontainers.image.revision"]) == 40
    assert "Healthcheck" not in config


def test_it_answers_its_version(engine, image):
    assert engine.docker("run", "--rm", image, "--version") == image.partition(":")[2]


@pytest.mark.parametrize(
    "search",
    [
        "for name in cc gcc c++ make pip pip3 git curl wget; do command -v $name; done; true",
        "find /opt/gateway -path '*/site-packages/service/*' -name '*test*'",
        "find / -xdev -name 'onemin*.whl'",
        "find / -xdev -type d -path '*cache/pip'",
        "find / -xdev -name 'requirements.lock'",
    ],
    ids=["tools", "tests", "wheels", "pip's cache", "locks"],
)
def test_it_has_nothing_that_it_does_not_need(engine, image, search):
    shell = ("--rm", "--user", "0", "--entrypoint", "sh")

    assert engine.docker("run", *shell, image, "-c", search) == ""


def test_both_doors_answer(start, spec):
    with start() as gateway:
        assert ask(gateway).choices[0].message.content == SENTENCE
        assert text_of(ask(gateway, stream=True)) == SENTENCE

        with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
            stub = InferenceServiceStub(channel)
            request = pb.CreateChatCompletionRequest(spec=spec)
            whole = stub.CreateChatCompletion(request, metadata=KEY, timeout=30)
            stream = pb.StreamChatCompletionRequest(spec=spec)
            events = list(stub.StreamChatCompletion(stream, metadata=KEY, timeout=30))

    assert whole.text == SENTENCE
    assert "".join(event.delta.text for event in events) == SENTENCE
    assert events[-1].HasField("completed")


def test_probes_find_what_the_manifests_name(start):
    with start() as gateway:
        answers = {path: gateway.operations(path) for path in ("/livez", "/readyz", "/metrics")}
        with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            states = {
                name: health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status
                for name in ("", SERVICE)
            }

    assert answers == {"/livez": 200, "/readyz": 200, "/metrics": 200}
    assert states == {"": SERVING, SERVICE: SERVING}


def test_it_is_confined_and_writes_nothing(engine, start):
    with start() as gateway:
        ask(gateway)
        written = engine.docker("diff", gateway.name)
        host = engine.inspect(gateway.name)["HostConfig"]
        status = engine.docker("exec", gateway.name, "cat", "/proc/1/status")
        tmp = engine.docker("exec", gateway.name, "ls", "-A", "/tmp")

    assert host["ReadonlyRootfs"] is True
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert written == tmp == ""


def test_sigterm_drains(engine, start, spec):
    """Streams of both doors that are open at the signal end well; then the process does, with 0."""
    with start(drain_delay=1) as gateway:
        texts = {}
        http = ask(gateway, stream=True)
        next(http)
        channel = grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}")
        request = pb.StreamChatCompletionRequest(spec=spec)
        rpc = InferenceServiceStub(channel).StreamChatCompletion(request, metadata=KEY, timeout=60)
        next(rpc)

        signalled = time.monotonic()
        engine.docker("kill", "--signal", "TERM", gateway.name)
        readers = [
            threading.Thread(target=lambda: texts.update(http=text_of(http))),
            threading.Thread(target=lambda: texts.update(grpc=[e.delta.text for e in rpc])),
        ]
        for reader in readers:
            reader.start()
        alive_but_not_ready = gateway.operations("/livez"), gateway.operations("/readyz")
        for reader in readers:
            reader.join(60)
        code = engine.docker("wait", gateway.name)
        took = time.monotonic() - signalled
        channel.close()

    assert alive_but_not_ready == (200, 503)
    assert SENTENCE.endswith(texts["http"])
    assert texts["http"].endswith("stream")
    assert SENTENCE.endswith("".join(texts["grpc"]))
    assert "".join(texts["grpc"]).endswith("stream")
    assert rpc.code() is grpc.StatusCode.OK
    assert code == "0"
    assert took < 30, "it leaves when the last stream has ended, not when the grace is over"
