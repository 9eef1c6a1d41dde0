"""The README tells the truth: its tables are those of the code, its samples run."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from pathlib import Path

import grpc
import httpx2
import msgspec
import pytest

from service.errors import HTTP_ONLY, TABLE
from service.observability.metrics import Metrics
from service.settings import Settings, legal, variable

README = (Path(__file__).parents[1] / "README.md").read_text()


def table(name):
    """Return the rows of a table between its marks, without the heading."""
    text = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", README, re.DOTALL)[1]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines()[2:]]


def samples(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_table_of_errors_is_that_of_the_service():
    codes = {status.value[0]: f"`{status.name}`" for status in grpc.StatusCode}

    assert [row[:4] for row in table("errors")] == [
        [
            f"`{reason}`",
            "-" if reason in HTTP_ONLY else codes[row.grpc_code],
            str(row.http_status),
            f"`{row.code}`" if row.code else "null",
        ]
        for reason, row in TABLE.items()
    ]


def test_the_table_of_metrics_is_that_of_the_registry():
    suffixes = {"counter": "_total", "info": "_info"}
    families = {family.name: family for family in Metrics("test").registry.collect()}

    rows = table("metrics")
    assert [row[0] for row in rows] == [
        f"`{name}{suffixes.get(family.type, '')}`" for name, family in families.items()
    ]
    assert [row[1] for row in rows] == [family.type for family in families.values()]
    assert [row[3] for row in rows] == [family.documentation for family in families.values()]


def shown(default):
    """Return a default as an operator would write it."""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    if isinstance(default, tuple):
        default = ",".join(default)
    return f"`{default}`" if default != "" else ""


def about(field):
    return msgspec.inspect.type_info(field.type).extra_json_schema["description"]


def test_the_table_of_settings_is_the_settings_object():
    assert table("settings") == [
        [f"`{variable(field.name)}`", shown(field.default), about(field), legal(field.type)]
        for field in msgspec.structs.fields(Settings)
    ]


@pytest.mark.anyio
async def test_the_python_samples_run(gateway):
    answers = []
    for sample in samples("python"):
        code = sample.replace("http://127.0.0.1:8080", gateway.http_url)
        code = code.replace("127.0.0.1:50051", gateway.grpc_target)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", code, stdout=-1, stderr=-1
        )
        output, errors = await process.communicate()
        assert (process.returncode, errors.decode()) == (0, "")
        answers.append(output.decode().strip())
    assert answers == ["1, 2, 3, 4, 5"] * 2


@pytest.mark.anyio
async def test_the_curl_sample_streams(gateway):
    (sample,) = [text for text in samples("sh") if text.startswith("curl")]
    _, _, url, *options = shlex.split(sample.replace("\\\n", ""))
    given = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ") for option, value in given if option == "-H")
    (body,) = [value for option, value in given if option == "-d"]

    async with httpx2.AsyncClient() as client:
        url = url.replace("http://127.0.0.1:8080", gateway.http_url)
        answer = await client.post(url, headers=headers, content=body)

    assert answer.status_code == 200
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_the_links_lead_somewhere(link):
    assert (Path(__file__).parents[1] / link).is_file()
