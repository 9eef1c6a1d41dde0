"""What the protos promise and the code must not forget."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from onemin.inference.v1 import chat_pb2, error_reason_pb2, inference_service_pb2, model_pb2
from service.errors import HTTP_ONLY, TABLE, Reason
from service.inference.api import InferenceApi

GEN = Path(__file__).parents[2] / "gen"
SERVICE = inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"]


def snake(name):
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")


def test_the_port_has_one_method_for_each_rpc():
    methods = {name for name, _ in inspect.getmembers(InferenceApi, inspect.isfunction)}

    assert {name for name in methods if not name.startswith("_")} == {
        snake(method.name) for method in SERVICE.methods
    }


def test_every_reason_is_declared_and_every_declared_one_exists():
    declared = {
        value.name.removeprefix("ERROR_REASON_")
        for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
        if value.number
    }

    assert declared == {str(reason) for reason in set(Reason) - HTTP_ONLY}


def test_every_reason_has_its_row():
    assert set(TABLE) == set(Reason)


def test_settings_tell_zero_from_not_given():
    settings = (chat_pb2.SamplingConfig, chat_pb2.WebSearchConfig)
    fields = [field for message in settings for field in message.DESCRIPTOR.fields]

    assert [field.name for field in fields if not (field.has_presence or field.is_repeated)] == []


@pytest.mark.parametrize("module", [chat_pb2, error_reason_pb2, inference_service_pb2, model_pb2])
def test_no_enum_has_a_meaning_for_zero(module):
    for enum in module.DESCRIPTOR.enum_types_by_name.values():
        assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")


def test_numbers_that_may_be_large_are_wide_enough():
    seed = chat_pb2.SamplingConfig.DESCRIPTOR.fields_by_name["seed"]

    assert seed.type == FieldDescriptor.TYPE_INT64


def test_generated_code_runs_on_the_oldest_library_that_is_allowed():
    """The generator's version guards must not be above the floors in pyproject.toml."""
    stub = (GEN / "onemin/inference/v1/inference_service_pb2_grpc.py").read_text()
    guards = {
        target.id: node.value.value
        for node in ast.walk(ast.parse(stub))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    project = (GEN.parent / "pyproject.toml").read_text()

    assert f'"grpcio>={guards["GRPC_GENERATED_VERSION"]}"' in project
    assert f'"grpcio-tools=={guards["GRPC_GENERATED_VERSION"]}"' in project
