from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest

from service import __main__ as subject


def test_uvloop_runs_where_it_is_installed(monkeypatch):
    installed = SimpleNamespace(new_event_loop=object())
    monkeypatch.setitem(sys.modules, "uvloop", installed)
    assert subject._loop_factory() is installed.new_event_loop


def test_without_uvloop_asyncios_own_loop_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with asyncio.Runner(loop_factory=subject._loop_factory()) as runner:
        assert type(runner.get_loop()).__module__.startswith("asyncio.")


@pytest.fixture
def environ(monkeypatch):
    for name in list(subject.os.environ):
        if name.startswith("ONE_MIN_"):
            monkeypatch.delenv(name)
    return monkeypatch.setenv


def test_settings_are_checked_without_starting(environ, capsys):
    environ("ONE_MIN_HTTP_PORT", "1")
    assert subject.main(["--check-config"]) == 0
    assert capsys.readouterr().out == "onemin-gateway: the settings are legal\n"


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--check-config"], 1)])
def test_a_wrong_setting_ends_the_start(environ, capsys, arguments, code):
    environ("ONE_MIN_ROLE", "both")
    assert subject.main(arguments) == code
    line = "onemin-gateway: ONE_MIN_ROLE='both' is not legal: expected all, grpc or http\n"
    assert capsys.readouterr() == ("", line)
