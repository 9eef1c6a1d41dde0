from __future__ import annotations

import msgspec
import pytest

from service import settings as subject
from service.settings import Settings, SettingsError, load, unknown_names, variable


def test_without_variables_everything_has_its_default():
    assert load({}) == Settings()


def test_an_empty_variable_means_none():
    assert load({"ONE_MIN_HTTP_PORT": "  ", "ONE_MIN_MODELS": ""}) == Settings()


LEGAL = {
    "a port": ("http_port", "81", 81),
    "any free port": ("grpc_port", "0", 0),
    "the largest port": ("ops_port", "65535", 65535),
    "seconds with a fraction": ("idle_timeout", "0.5", 0.5),
    "no delay at all": ("drain_delay", "0", 0.0),
    "a flag": ("retries", "false", False),
    "a flag in capitals": ("reflection", "True", True),
    "a flag as a number": ("substitutes", "0", False),
    "a role": ("role", "grpc", "grpc"),
    "a level": ("log_level", "debug", "debug"),
    "names": ("models", "gpt-4o, o3-mini ,", ("gpt-4o", "o3-mini")),
    "one origin": ("cors_origins", "https://a.example", ("https://a.example",)),
    "a URL": ("api_url", "http://127.0.0.1:8787", "http://127.0.0.1:8787"),
    "a URL with a slash": ("api_url", "https://api.example/", "https://api.example/"),
    "a URL with an address of IPv6": ("api_url", "http://[::1]:80", "http://[::1]:80"),
    "a proxy with a password": ("upstream_proxy", "http://u:p@proxy:3128", "http://u:p@proxy:3128"),
    "space around": ("host", " 0.0.0.0 ", "0.0.0.0"),
}


@pytest.mark.parametrize(("field", "text", "value"), LEGAL.values(), ids=LEGAL)
def test_a_legal_value_is_taken(field, text, value):
    assert getattr(load({variable(field): text}), field) == value


WRONG = {
    "no number": ("http_port", "http"),
    "a port too far": ("http_port", "65536"),
    "a negative port": ("grpc_port", "-1"),
    "a port with a fraction": ("ops_port", "80.5"),
    "no seconds": ("connect_timeout", "0"),
    "seconds that are no number": ("idle_timeout", "nan"),
    "endless seconds": ("total_timeout", "inf"),
    "a negative delay": ("drain_delay", "-1"),
    "bytes below the least": ("max_body_bytes", "1023"),
    "no calls at all": ("max_in_flight", "0"),
    "a flag that is none": ("retries", "maybe"),
    "a role that is none": ("role", "both"),
    "a level that is none": ("log_level", "verbose"),
    "a URL without a scheme": ("api_url", "api.1min.ai"),
    "a URL with a path": ("api_url", "https://api.1min.ai/v1"),
    "a URL with a query": ("api_url", "https://api.1min.ai?key=x"),
    "another scheme": ("api_url", "ftp://api.1min.ai"),
    "a URL without a host": ("api_url", "http://:80"),
    "a URL with a wrong port": ("api_url", "http://a:99999"),
    "a URL with a broken address": ("api_url", "http://[::1"),
    "a proxy with a path": ("upstream_proxy", "http://proxy/x"),
}


@pytest.mark.parametrize(("field", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_one_line_with_variable_value_and_what_is_legal(field, text):
    with pytest.raises(SettingsError) as caught:
        load({variable(field): text})
    line = str(caught.value)
    assert line.startswith(f"{variable(field)}={text!r} is not legal: expected ")
    assert "\n" not in line


def test_control_characters_in_a_value_stay_within_the_line():
    with pytest.raises(SettingsError) as caught:
        load({"ONE_MIN_ROLE": "all\n\x1b[31m"})
    assert str(caught.value).isprintable()


TOGETHER = {
    "http without a target": ({"ROLE": "http"}, "GRPC_TARGET"),
    "a certificate without a key": ({"TLS_CERT": "c.pem"}, "TLS_KEY"),
    "a key without a certificate": ({"TLS_KEY": "k.pem"}, "TLS_CERT"),
    "clients' authority without TLS": ({"TLS_CLIENT_CA": "ca.pem"}, "TLS_CERT"),
    "more for one key than for all": ({"MAX_IN_FLIGHT": "10"}, "MAX_IN_FLIGHT_PER_KEY"),
}


@pytest.mark.parametrize(("given", "named"), TOGETHER.values(), ids=TOGETHER)
def test_values_that_do_not_go_together_are_refused(given, named):
    with pytest.raises(SettingsError, match=f"^ONE_MIN_{named}="):
        load({f"ONE_MIN_{name}": value for name, value in given.items()})


def test_values_that_go_together_are_taken():
    settings = load(
        {
            "ONE_MIN_ROLE": "http",
            "ONE_MIN_GRPC_TARGET": "dns:///far:50051",
            "ONE_MIN_TLS_CERT": "c.pem",
            "ONE_MIN_TLS_KEY": "k.pem",
            "ONE_MIN_TLS_CLIENT_CA": "ca.pem",
            "ONE_MIN_MAX_IN_FLIGHT": "10",
            "ONE_MIN_MAX_IN_FLIGHT_PER_KEY": "10",
        }
    )
    assert settings.role == "http"
    assert settings.max_in_flight_per_key == 10


def test_unknown_names_with_the_prefix_are_listed_and_left_alone():
    environ = {
        "ONE_MIN_HTTP_PROT": "1",
        "ONE_MIN_SERVICE_HOST": "x",
        "ONE_MIN_ROLE": "",
        "HOME": "",
    }
    assert unknown_names(environ) == ["ONE_MIN_HTTP_PROT", "ONE_MIN_SERVICE_HOST"]
    assert load(environ) == Settings()


@pytest.mark.parametrize("field", ["api_url", "upstream_proxy"])
def test_credentials_in_a_url_are_never_shown(field):
    given = {variable(field): "http://user:s3cret@host:3128"}
    settings = load(given)
    assert settings.describe()[variable(field)] == "http://***@host:3128"
    assert "s3cret" not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        load({variable(field): "http://user:s3cret@host/path"})
    assert "s3cret" not in str(caught.value)


def test_settings_describe_themselves_by_variable():
    described = Settings().describe()
    assert described["ONE_MIN_HTTP_PORT"] == 8080
    assert len(described) == len(Settings.__struct_fields__)


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        Settings().http_port = 1


@pytest.mark.parametrize("field", msgspec.structs.fields(Settings), ids=lambda field: field.name)
def test_every_setting_says_what_it_is_and_what_is_legal(field):
    assert msgspec.inspect.type_info(field.type).extra_json_schema["description"].endswith(".")
    assert subject.legal(field.type)
