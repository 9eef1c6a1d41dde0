from __future__ import annotations

import json
import re

import pytest
import yaml

from service.errors import Reason
from service.observability.metrics import CANCELLED, OK, Metrics
from service.settings import Settings
from tests.unit.k8s.manifests import K8S, matches, named, of_kind, pods

FOREIGN_METRICS = {"up"}
OF_THE_TARGET = {"namespace", "pod", "job", "instance", "le"}
FUNCTIONS = {
    "absent",
    "count",
    "histogram_quantile",
    "increase",
    "label_values",
    "rate",
    "sum",
}
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}


def samples():
    """Return the labels of every sample there is, by its name."""
    registry = Metrics("0").registry
    found = {"onemin_build_info": {"version"}}
    for collector in set(registry._names_to_collectors.values()):
        for family in collector.describe():
            for suffix in SUFFIXES[family.type]:
                found.setdefault(family.name + suffix, set(collector._labelnames))
    return found


SAMPLES = samples()


def alerts():
    (rule,) = of_kind("monitoring", "PrometheusRule")
    return [alert for group in rule["spec"]["groups"] for alert in group["rules"]]


def dashboard():
    (text,) = named("monitoring", "ConfigMap", "onemin-gateway-dashboard")["data"].values()
    return json.loads(text)


def queries():
    yield from ((alert["alert"], alert["expr"]) for alert in alerts())
    for panel in dashboard()["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    for entry in dashboard()["templating"]["list"]:
        if entry["type"] == "query":
            yield entry["name"], entry["query"]
    adapter = yaml.safe_load(
        (K8S / "components" / "hpa-in-flight" / "prometheus-adapter.yaml").read_text()
    )
    yield from (("adapter", rule["seriesQuery"]) for rule in adapter["rules"]["custom"])


every_query = pytest.mark.parametrize(
    "query", [pytest.param(query, id=name) for name, query in queries()]
)


def words(query):
    """Return the names of a query: its strings, labels, grouping and durations are left out."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(
        r"\{[^}]*\}|\bby \([^)]*\)|\[[^\]]*\]|label_values\(([^,]*),[^)]*\)", r" \1 ", bare
    )
    return set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare)) - FUNCTIONS


@every_query
def test_metrics_exist(query):
    names = words(query)

    assert names
    assert names <= SAMPLES.keys() | FOREIGN_METRICS


@every_query
def test_labels_exist(query):
    known = OF_THE_TARGET.union(*(SAMPLES.get(name, set()) for name in words(query)))
    selected = {
        label
        for braces in re.findall(r"\{([^}]*)\}", query)
        for label in re.findall(r"(\w+)\s*[=!]", braces)
    }
    grouped = {
        label for by in re.findall(r"\bby \(([^)]*)\)", query) for label in re.findall(r"\w+", by)
    }

    assert selected | grouped <= known


@every_query
def test_reasons_exist(query):
    known = {OK, CANCELLED, *Reason}
    for patterns in re.findall(r'reason=~?"([^"]*)"', query):
        for pattern in patterns.split("|"):
            assert any(re.fullmatch(pattern, reason) for reason in known), pattern


def test_rates_are_of_counters_and_quantiles_of_buckets():
    for _, query in queries():
        for name in re.findall(r"(?:rate|increase)\((\w+)", query):
            assert name.endswith(("_total", "_bucket"))
        assert ("histogram_quantile" in query) == ("_bucket" in query)


def test_names_in_legends_are_labels_of_the_query():
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert re.search(rf"by \([^)]*\b{label}\b", target["expr"]), panel["title"]


def test_every_metric_is_on_the_dashboard():
    shown = {
        name
        for panel in dashboard()["panels"]
        for target in panel["targets"]
        for name in words(target["expr"])
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in SAMPLES}

    assert families == {re.sub(r"_bucket$", "", name) for name in shown}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_it_is_and_where_to_read_on(alert):
    page, _, section = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (K8S.parent / page).read_text(), re.MULTILINE)

    assert alert["annotations"]["summary"]
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert section in {heading.lower() for heading in headings}


def test_saturation_is_four_fifths_of_the_limit():
    (alert,) = [alert for alert in alerts() if alert["alert"] == "OneminGatewaySaturated"]
    threshold = int(alert["expr"].rpartition(">")[2])

    assert threshold == round(0.8 * Settings().max_in_flight)
    assert str(Settings().max_in_flight) in alert["annotations"]["summary"]


def test_the_autoscaler_aims_at_half_of_the_limit():
    for scaler in of_kind("hpa-in-flight", "HorizontalPodAutoscaler"):
        (metric,) = [each["pods"] for each in scaler["spec"]["metrics"] if each["type"] == "Pods"]
        assert metric["metric"]["name"] in SAMPLES
        assert int(metric["target"]["averageValue"]) == Settings().max_in_flight // 2


@pytest.mark.parametrize("variant", ["monitoring", "everything"])
def test_prometheus_finds_every_gateway_pod(variant):
    (monitor,) = of_kind(variant, "ServiceMonitor")
    (service,) = [
        item
        for item in of_kind(variant, "Service")
        if matches(monitor["spec"]["selector"], item["metadata"]["labels"])
    ]
    watched = {
        name
        for name, pod in pods(variant).items()
        if matches({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
    }

    assert watched == pods(variant).keys() - {"onemin-simulator"}
    assert [end["port"] for end in monitor["spec"]["endpoints"]] == [
        port["name"] for port in service["spec"]["ports"]
    ]
    assert f'job="{service["metadata"]["name"]}"' in next(
        alert["expr"] for alert in alerts() if alert["alert"] == "OneminGatewayDown"
    )
