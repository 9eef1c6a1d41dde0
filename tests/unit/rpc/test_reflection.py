from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as reflection

from onemin.inference.v1 import inference_service_pb2 as pb
from service.rpc.servicer import SERVICE
from tests.contract.doors import serving

pytestmark = pytest.mark.anyio

NAMES = ["grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"]
BUF = shutil.which("buf", path=str(Path(sys.executable).parent)) or "buf"


def asking(channel, name):
    return channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=reflection.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection.ServerReflectionResponse.FromString,
    )


@pytest.mark.parametrize("name", NAMES)
async def test_the_contract_can_be_asked_for_under_both_names(channel, name):
    requests = [
        reflection.ServerReflectionRequest(list_services=""),
        reflection.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    listed, found = [answer async for answer in asking(channel, name)(iter(requests))]
    services = [service.name for service in listed.list_services_response.service]
    assert services == ["grpc.health.v1.Health", NAMES[0], SERVICE]
    file = FileDescriptorProto.FromString(found.file_descriptor_response.file_descriptor_proto[0])
    assert file.name == pb.DESCRIPTOR.name


async def test_buf_can_list_the_methods(target):
    arguments = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-methods"]
    process = await asyncio.create_subprocess_exec(
        BUF, *arguments, f"http://{target}", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    service = pb.DESCRIPTOR.services_by_name["InferenceService"]
    assert {f"{SERVICE}/{method.name}" for method in service.methods} <= set(
        output.decode().split()
    )


@pytest.mark.parametrize("name", NAMES)
async def test_reflection_can_be_switched_off(port, metrics, readiness, name):
    async with (
        serving(port, metrics, readiness, reflection="false") as (target, _),
        grpc.aio.insecure_channel(target) as channel,
    ):
        rpc = asking(channel, name)(iter([reflection.ServerReflectionRequest(list_services="")]))
        assert await rpc.code() is grpc.StatusCode.UNIMPLEMENTED
