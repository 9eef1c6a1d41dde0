"""Which module may know which library; the layers themselves are import-linter's, in pyproject."""

from __future__ import annotations

import grimp
import pytest

OWNERS = {
    "aiohttp": {"service.upstream.pool", "service.upstream.transport", "service.simulator"},
    "grpc": {"service.rpc"},
    "grpc_health": {"service.rpc"},
    "grpc_reflection": {"service.rpc"},
    "httptools": {"service.http_protocol"},
    "multidict": {"service.upstream.pool", "service.upstream.transport"},
    "protovalidate": {"service.inference.validation"},
    "starlette": {"service.openai_http", "service.operations"},
    "tiktoken": {"service.inference.tokens"},
    "uvicorn": {"service.http_protocol", "service.http_server"},
    "uvloop": {"service.__main__"},
}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("service", include_external_packages=True, cache_dir=None)


@pytest.mark.parametrize(("library", "owners"), OWNERS.items(), ids=OWNERS)
def test_a_library_is_known_where_it_is_used_and_nowhere_else(graph, library, owners):
    importers = graph.find_modules_that_directly_import(library)

    assert importers
    assert {
        importer
        for importer in importers
        if not any(importer == owner or importer.startswith(f"{owner}.") for owner in owners)
    } == set()
