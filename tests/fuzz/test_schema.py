"""`/openapi.json` against the door that serves it: what it says is what is done, for any request."""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from service.openai_http.app import Routes
from service.openai_http.openapi import document
from service.settings import Settings
from service.stages import Stages
from tests.lifecycle import process

KEY = {"authorization": "Bearer a-good-key"}
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES = 100 if LONG else 20

CONFIG = schemathesis.Config.from_dict(
    {
        "generation": {"allow-x00": True},
        "phases": {"coverage": {"enabled": LONG}},  # one case for each rule of the schema, and more
        "checks": {
            # Whether a key is right only the provider knows; tests/hostile asks without one.
            "ignored_auth": {"enabled": False},
            # A body of too many values is refused before anything is said of it.
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "404", "405", "406", "413", "415"]
            },
        },
    }
)


@pytest.fixture(scope="module")
def gateway():
    with process.simulator() as url:
        gateway = process.GatewayProcess(api_url=url)
        try:
            gateway.until_probe_says("ready")
            yield gateway
        finally:
            gateway.close()


def without_large_arrays(described):
    """Take away the limits of long arrays: a generator that goes to them does little else."""
    if isinstance(described, list):
        return [without_large_arrays(each) for each in described]
    if not isinstance(described, dict):
        return described
    return {
        key: without_large_arrays(value)
        for key, value in described.items()
        if key != "maxItems" or value < 100
    }


ROUTES = Routes(None, Settings(), Stages())._router.routes
DOCUMENT = document([route.path for route in ROUTES], "1")
schema = schemathesis.openapi.from_dict(without_large_arrays(DOCUMENT), config=CONFIG)


@schema.hook
def map_body(_, body):
    """Write whole numbers as such: JSON Schema takes 1.0 for an integer, OpenAI and we do not.

    A model that exists lets half of the requests get past the catalogue.
    """
    if not isinstance(body, dict):
        return body
    body = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in body.items()
    }
    if isinstance(body.get("model"), str) and 0 < len(body["model"]) < 200:
        body["model"] = ("gpt-4o-mini", body["model"])[len(body["model"]) % 2]
    return body


@schema.parametrize()
@pytest.mark.timeout(0)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_door_does_what_its_document_says(gateway, case):
    case.call_and_validate(base_url=f"http://127.0.0.1:{gateway.ports['http_port']}", headers=KEY)
