from __future__ import annotations

import dataclasses

import pytest
from tiktoken_ext import openai_public

from service.inference.ranks import CL100K, O200K


@pytest.fixture
def published(monkeypatch):
    """tiktoken's own definitions, with the expected hash where the downloaded ranks would be."""

    def instead_of_a_download(_url, expected_hash):
        return expected_hash

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", instead_of_a_download)
    return openai_public.ENCODING_CONSTRUCTORS


@pytest.mark.parametrize("file", [O200K, CL100K], ids=lambda file: file.name)
def test_pattern_and_hash_are_those_of_tiktoken(file, published):
    expected = published[file.name]()
    assert (file.name, file.pattern, file.sha256) == (
        expected["name"],
        expected["pat_str"],
        expected["mergeable_ranks"],
    )


@pytest.mark.parametrize(
    ("file", "tokens"), [(O200K, 199_998), (CL100K, 100_256)], ids=["o200k", "cl100k"]
)
def test_each_token_has_its_own_rank(file, tokens):
    assert sorted(file.read().values()) == list(range(tokens))


def test_a_file_that_is_not_the_expected_one_is_refused():
    changed = dataclasses.replace(CL100K, sha256="0" * 64)
    with pytest.raises(RuntimeError, match="the rank file of cl100k_base has another SHA-256"):
        changed.read()
