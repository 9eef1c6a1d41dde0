from __future__ import annotations

import dataclasses

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from service.inference.ranks import CL100K, O200K


@pytest.fixture(scope="module")
def published():
    """tiktoken's own definitions, with the expected hash where the downloaded ranks would be."""

    def instead_of_a_download(_url, expected_hash):
        return expected_hash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", instead_of_a_download)
        yield openai_public.ENCODING_CONSTRUCTORS


@pytest.mark.parametrize("file", [O200K, CL100K], ids=lambda file: file.name)
def test_name_and_hash_are_those_of_tiktoken(file, published):
    expected = published[file.name]()
    assert (file.name, file.sha256) == (expected["name"], expected["mergeable_ranks"])


def test_the_pattern_of_cl100k_is_that_of_tiktoken(published):
    assert CL100K.pattern == published["cl100k_base"]()["pat_str"]


def test_the_pattern_of_o200k_is_that_of_tiktoken_with_its_beginning_in_a_group(published):
    beginning, look_ahead, rest = published["o200k_base"]()["pat_str"].partition(r"|\s+(?!\S)")
    assert O200K.pattern == f"(?:{beginning}){look_ahead}{rest}"


@pytest.fixture(scope="module")
def ours_and_theirs(published):
    """Encodings of the same ranks, by our pattern and by tiktoken's."""
    patterns = (O200K.pattern, published["o200k_base"]()["pat_str"])
    ranks = O200K.read()
    return [
        tiktoken.Encoding(O200K.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        for pattern in patterns
    ]


SPACES = (" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2028")
WORDS = (
    "don't",
    "HTTPServer",
    "É",
    "日本",
    "e\u0301",
    "12345",
    "{",
    "//",
    "/\n",
    "\U0001f9ff",
    "x",
)
PIECES = st.sampled_from(SPACES) | st.sampled_from(WORDS) | st.text(max_size=4)


@given(text=st.lists(PIECES, max_size=16).map("".join))
@settings(max_examples=1000, deadline=None)
def test_the_group_splits_no_text_otherwise(ours_and_theirs, text):
    ours, theirs = ours_and_theirs
    assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)


@pytest.mark.parametrize(
    ("file", "tokens"), [(O200K, 199_998), (CL100K, 100_256)], ids=["o200k", "cl100k"]
)
def test_each_token_has_its_own_rank(file, tokens):
    assert sorted(file.read().values()) == list(range(tokens))


def test_a_file_that_is_not_the_expected_one_is_refused():
    changed = dataclasses.replace(CL100K, sha256="0" * 64)
    with pytest.raises(RuntimeError, match="the rank file of cl100k_base has another SHA-256"):
        changed.read()
