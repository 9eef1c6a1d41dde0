from __future__ import annotations

from contextlib import ExitStack

import pytest

from service.call import Call, Protocol
from service.errors import Reason, ServiceError
from service.inference.admission import Admission
from service.observability.metrics import Metrics, with_memory


def call(key="key-a", protocol=Protocol.HTTP):
    return Call(request_id="r", credential=key, protocol=protocol)


@pytest.fixture
def metrics():
    return Metrics("test")


@pytest.fixture
def admission(metrics):
    return Admission(limit=3, limit_per_key=2, in_flight=metrics.in_flight)


def test_as_many_calls_as_allowed_are_served(admission):
    with admission.slot(call()), admission.slot(call()), admission.slot(call("key-b")):
        assert admission.total == 3
    assert admission.total == 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["key-a", "key-a", "key-b"], "in flight here"),
        (["key-a", "key-a"], "for this API key"),
    ],
    ids=["in all", "for one key"],
)
def test_one_more_is_refused_with_a_time_to_retry(admission, keys, message):
    with ExitStack() as slots:
        for key in keys:
            slots.enter_context(admission.slot(call(key)))
        with pytest.raises(ServiceError, match=message) as refused, admission.slot(call()):
            pass
    assert refused.value.reason is Reason.OVERLOADED
    assert refused.value.retry_after == 1.0
    assert admission.total == 0


def test_a_slot_is_free_again_after_a_failure(admission):
    for _ in range(5):
        with pytest.raises(ValueError, match="x"), admission.slot(call()):
            raise ValueError("x")
    assert admission.total == 0


def test_no_key_is_kept(admission):
    with admission.slot(call("canary")):
        assert "canary" not in repr(vars(admission))
        assert len(admission._by_key) == 1
    assert not admission._by_key


def test_refused_keys_are_not_remembered(metrics):
    admission = Admission(limit=1, limit_per_key=1, in_flight=metrics.in_flight)
    with admission.slot(call()):
        for number in range(100):
            with pytest.raises(ServiceError), admission.slot(call(f"key-{number}")):
                pass
        assert len(admission._by_key) == 1


def test_the_gauge_shows_who_is_served(admission, metrics):
    with admission.slot(call(protocol=Protocol.GRPC)):
        assert metrics.registry.get_sample_value("onemin_in_flight", {"protocol": "grpc"}) == 1
    assert metrics.registry.get_sample_value("onemin_in_flight", {"protocol": "grpc"}) == 0


def test_remembered_children_are_the_metrics_own(metrics):
    child = with_memory(metrics.in_flight)
    assert child(Protocol.HTTP) is metrics.in_flight.labels("http")
    assert child(Protocol.HTTP) is child("http")
    assert child("http") is not child("grpc")
