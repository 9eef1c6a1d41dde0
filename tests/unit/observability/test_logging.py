from __future__ import annotations

import io
import json
import logging
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service.call import Protocol
from service.observability import logging as module
from service.observability.logging import STACK_LIMIT, VALUE_LIMIT, configure


@pytest.fixture
def output():
    """A stream that all logs go to; what was configured before comes back afterwards."""
    root = logging.getLogger()
    before = (structlog.get_config(), root.handlers[:], root.level)
    yield io.StringIO()
    structlog.configure(**before[0])
    root.handlers[:], root.level = before[1:]
    logging.captureWarnings(capture=False)


@pytest.fixture
def log(output):
    configure("debug", output)
    return structlog.get_logger()


def lines(output):
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_event_first(log, output):
    log.info("call", request_id="r", seconds=0.5, model=None, ok=True)
    (line,) = lines(output)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset().total_seconds() == 0
    assert line == {
        "level": "info",
        "event": "call",
        "request_id": "r",
        "seconds": 0.5,
        "model": None,
        "ok": True,
    }


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"text": "plain"}, id="plain"),
        pytest.param({"text": "not ASCII \u00e9"}, id="not ASCII"),
        pytest.param({"text": "bearer x"}, id="masked"),
        pytest.param({"text": "x" * 2 * VALUE_LIMIT}, id="cut"),
    ],
)
@pytest.mark.parametrize(
    "wrap", [lambda time: time, lambda time: [time], lambda time: {"at": time}]
)
def test_a_time_is_written_alike_in_all_lines(log, output, values, wrap):
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    log.info("event", when=wrap(noon), **values)
    (line,) = lines(output)
    assert line["when"] == wrap("2026-11-26T12:00:00Z")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_not_shown(output, level, shown):
    configure(level, output)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)("event")
    assert [line["level"] for line in lines(output)] == shown


@pytest.mark.parametrize("name", ["httpx", "aiohttp.client", "grpc", "asyncio", "uvicorn.error"])
@pytest.mark.parametrize(
    ("level", "shown"), [("debug", ["WARNING", "ERROR"]), ("error", ["ERROR"])]
)
def test_other_libraries_speak_from_warning_on_in_the_same_form(output, level, shown, name):
    configure(level, output)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger(name).log(number, "said %s", logging.getLevelName(number))
    assert [line["event"] for line in lines(output)] == [f"said {each}" for each in shown]
    assert {line["logger"] for line in lines(output)} == {name}


@pytest.mark.usefixtures("log")
def test_warnings_of_python_are_lines_too(output):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in lines(output)[0]["event"]


def test_a_line_without_an_event_is_a_line(log, output):
    log.info(None, request_id="r")
    assert lines(output)[0]["request_id"] == "r"


@pytest.mark.parametrize(
    "hostile",
    ['x\n{"level": "error"}', "\x1b[31mred", "\r\n\x00\x07", "\u2028\u2029\x85\x9b31m"],
    ids=repr,
)
def test_a_value_cannot_forge_a_line_or_reach_a_terminal(log, output, hostile):
    log.info(hostile, model=hostile, names=[hostile], more={hostile: hostile})
    logging.getLogger("grpc").warning(hostile)
    assert output.getvalue().count("\n") == 2
    assert output.getvalue().replace("\n", "").isascii()
    assert output.getvalue().replace("\n", "").isprintable()
    assert lines(output)[0]["model"] == hostile


def test_a_lone_surrogate_is_no_obstacle(log, output):
    log.info("event", model="\ud800")
    assert lines(output)[0]["model"] == "\ud800"


NAMED = [
    "authorization",
    "Authorization",
    "proxy-authorization",
    "api_key",
    "api-key",
    "API-KEY",
    "apikey",
    "x-api-key",
    "X_API_KEY",
    "credential",
    "credentials",
    "cookie",
    "set-cookie",
    "password",
    "secret",
]


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_like_a_credential_is_masked_at_any_depth(log, output, name):
    log.info("event", **{name: "s3cret"}, headers={name: "s3cret", "deep": [{name: "s3cret"}]})
    assert "s3cret" not in output.getvalue()
    assert output.getvalue().count("***") == 3


TEXTS = [
    "Authorization: Bearer s3cret",
    "{'authorization': 'bearer s3cret'}",
    "bearer s3cret",
    "API-KEY: s3cret",
    "{'API-KEY': 's3cret'}",
    "(b'api-key', b's3cret')",
    "api_key=s3cret".replace("_", "-"),
    'apikey="s3cret"',
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_looks_like_a_credential_in_a_text_is_masked(log, output, text):
    log.info(text, detail=text, items=(text,), other=Exception(text))
    logging.getLogger("aiohttp").error("%s", text)
    log.error("failed", exc_info=_raised(RuntimeError(text)))
    assert "s3cret" not in output.getvalue()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pa\u017f\u017fword", "ap\u0131-key: s3cret"),
        ("coo\u212aie", "AP\u0130-KEY: s3cret"),
        ("\u017fecret", "api-\u212aey=s3cret"),
    ],
    ids=ascii,
)
def test_letters_that_pass_for_others_hide_no_credential(log, output, name, text):
    log.info("event", **{name: "s3cret"}, detail=text, deep={name: "s3cret"})
    assert "s3cret" not in output.getvalue()


WORDS = st.sampled_from(
    [*NAMED, *TEXTS, "Bearer ", "api", "-", "key: ", "\u0131", "\u017f", "\u212a"]
)
VALUES = st.recursive(
    st.none() | st.floats(allow_nan=False) | st.text() | st.lists(WORDS, max_size=4).map("".join),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=4,
)


@given(event=st.dictionaries(WORDS | st.text(), VALUES, max_size=4))
def test_a_line_that_is_not_searched_is_as_if_it_were(event):
    line = module.render(None, "info", event)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_hints_at_secrets", lambda _: True)
        assert line == module.render(None, "info", event)


@dataclass
class Held:
    shown: str
    hidden: str = field(repr=False)


def test_a_line_shows_no_more_of_an_object_than_its_repr(log, output):
    held = Held("yes", "no-one")
    log.info("event", of=held, all=[held], by={"id": held})
    (line,) = lines(output)
    assert (line["of"], line["all"], line["by"]) == (repr(held), [repr(held)], {"id": repr(held)})
    assert "no-one" not in output.getvalue()


@pytest.mark.parametrize("value", [Protocol.HTTP, 1 << 70, -0.5, True, (1, "two"), 1e16], ids=repr)
def test_a_value_comes_back_as_json_has_it(log, output, value):
    log.info("event", value=value)
    assert lines(output)[0]["value"] == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("name", ["ONE_MIN_TLS_KEY", "ONE_MIN_MAX_IN_FLIGHT_PER_KEY", "tokens"])
def test_what_is_no_credential_is_shown(log, output, name):
    log.info("event", settings={name: "tls/key.pem"}, **{name: 7})
    assert lines(output)[0]["settings"] == {name: "tls/key.pem"}
    assert lines(output)[0][name] == 7


def test_long_values_are_cut(log, output):
    log.info("e" * 5000, value="v" * 5000, items=["i" * 1000] * 1000)
    line = lines(output)[0]
    assert line["event"] == "e" * VALUE_LIMIT + f" [{5000 - VALUE_LIMIT} more]"
    assert line["value"].startswith("v" * VALUE_LIMIT)
    assert len(output.getvalue()) < 4 * VALUE_LIMIT


def test_the_end_of_a_long_stack_is_kept(log, output):
    log.error("failed", exc_info=_raised(ValueError("x" * STACK_LIMIT + "the end")))
    stack = lines(output)[0]["exception"]
    assert stack.endswith("the end")
    assert len(stack) < STACK_LIMIT + 100


def test_a_stack_shows_no_local_variables(log, output):
    log.error("failed", exc_info=_raised(ValueError("shown"), local="s3" + "cret"))
    assert "ValueError: shown" in lines(output)[0]["exception"]
    assert "s3cret" not in output.getvalue()


def _raised(error, **_local):
    try:
        raise error
    except type(error) as caught:
        return caught
