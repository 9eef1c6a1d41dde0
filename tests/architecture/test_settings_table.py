"""The table of settings in the README is the settings object, written out."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from service.settings import Settings, legal, variable

README = Path(__file__).parents[2] / "README.md"


def _shown(value):
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{value}`" if value != "" else ""


def _rows():
    yield "| Variable | Default | Meaning | Legal values |"
    yield "| --- | --- | --- | --- |"
    for field in msgspec.structs.fields(Settings):
        meaning = msgspec.inspect.type_info(field.type).extra_json_schema["description"]
        cells = [f"`{variable(field.name)}`", _shown(field.default), meaning, legal(field.type)]
        yield f"| {' | '.join(cells)} |"


def test_the_readme_shows_every_setting_as_it_is():
    table = "\n".join(_rows())
    match = re.search(
        r"<!-- settings -->\n(.*?)\n<!-- /settings -->", README.read_text(), re.DOTALL
    )
    assert match, f"README.md needs this between its markers:\n{table}"
    assert match[1].strip() == table, f"the table in README.md should be:\n{table}"
