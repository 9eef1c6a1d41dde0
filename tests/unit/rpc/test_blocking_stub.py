"""The blocking stub against the descriptors, without a network: grpcio-testing has no asyncio."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc_testing
import pytest

from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from service.errors import Reason, ServiceError
from service.rpc.metadata import initial_metadata
from service.rpc.status import to_grpc
from tests.contract.scripted import METHODS, STREAM, completed, delta, started

SERVICE = pb.DESCRIPTOR.services_by_name["InferenceService"]
KEY = (("authorization", "Bearer the-key"),)
UNARY = {
    "CreateChatCompletion": METHODS["create_chat_completion"],
    "ListModels": METHODS["list_models"],
    "GetModel": METHODS["get_model"],
    "CountTokens": METHODS["count_tokens"],
}


@pytest.fixture
def channel():
    return grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())


@pytest.fixture
def client():
    with ThreadPoolExecutor(1) as thread:
        yield thread


def accepted():
    return initial_metadata("req-1", "", "")


@pytest.mark.parametrize("name", UNARY)
def test_a_unary_call_has_the_types_of_the_contract(channel, client, name):
    request, answer = UNARY[name]
    pending = client.submit(getattr(InferenceServiceStub(channel), name), request, metadata=KEY)
    metadata, seen, rpc = channel.take_unary_unary(SERVICE.methods_by_name[name])
    rpc.send_initial_metadata(accepted())
    rpc.terminate(answer, (), grpc.StatusCode.OK, "")
    assert seen == request
    assert set(KEY) <= set(metadata)
    assert pending.result(5) == answer


def test_a_stream_has_the_types_of_the_contract(channel, client):
    stub = InferenceServiceStub(channel)
    pending = client.submit(lambda: list(stub.StreamChatCompletion(STREAM, metadata=KEY)))
    method = SERVICE.methods_by_name["StreamChatCompletion"]
    _, seen, rpc = channel.take_unary_stream(method)
    rpc.send_initial_metadata(accepted())
    events = [started(), delta("Hi"), completed()]
    for event in events:
        rpc.send_response(event)
    rpc.terminate((), grpc.StatusCode.OK, "")
    assert seen == STREAM
    assert pending.result(5) == events


def test_a_refusal_has_the_trailers_that_a_blocking_client_reads(channel, client):
    request, _ = UNARY["GetModel"]
    pending = client.submit(InferenceServiceStub(channel).GetModel, request)
    _, _, rpc = channel.take_unary_unary(SERVICE.methods_by_name["GetModel"])
    status = to_grpc(ServiceError(Reason.MISSING_API_KEY, "No key."), "req-1")
    rpc.send_initial_metadata(())
    rpc.terminate(None, status.trailing_metadata, status.code, status.details)
    failure = pending.exception(5)
    assert failure.code() is grpc.StatusCode.UNAUTHENTICATED
    assert dict(failure.trailing_metadata())["x-request-id"] == "req-1"
