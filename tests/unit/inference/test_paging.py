from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onemin.inference.v1 import model_pb2
from service.errors import Reason, ServiceError
from service.inference.paging import MAX_PAGE_SIZE, page

IDS = st.sets(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1), max_size=30)


def models(*ids: str) -> list[model_pb2.Model]:
    return [model_pb2.Model(id=id_) for id_ in sorted(ids)]


def ids_of(found) -> list[str]:
    return [model.id for model in found]


@given(IDS, st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_pages_together_are_the_list(ids, size):
    listed, seen, token = models(*ids), [], ""
    while True:
        found, token = page(listed, size, token)
        assert len(found) <= size
        seen += ids_of(found)
        if not token:
            break
        assert found

    assert seen == sorted(ids)


@pytest.mark.parametrize("size", [0, MAX_PAGE_SIZE, MAX_PAGE_SIZE + 1, 2**31 - 1])
def test_zero_and_large_sizes_mean_the_largest_page(size):
    listed = models(*(f"m{number:04}" for number in range(MAX_PAGE_SIZE + 1)))

    found, token = page(listed, size, "")

    assert len(found) == MAX_PAGE_SIZE
    assert ids_of(page(listed, size, token)[0]) == ["m1000"]


def test_a_list_that_just_fits_has_no_next_page():
    assert page(models("a", "b"), 2, "")[1] == ""


def test_a_list_that_changed_neither_repeats_nor_leaves_out():
    _, token = page(models("b", "c", "d"), 2, "")

    assert ids_of(page(models("a", "b", "d", "e"), 2, token)[0]) == ["d", "e"]


def test_the_page_after_the_last_model_is_empty():
    _, token = page(models("b", "c"), 1, "")

    assert page(models("a"), 1, token) == ([], "")


def test_the_longest_id_makes_a_token_that_the_contract_takes():
    assert len(page(models("!" * 256, "~"), 1, "")[1]) <= 512


_, GOOD = page(models("gpt-4o", "o3"), 1, "")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "gpt-4o",
        GOOD[:-1],
        GOOD + "=",
        GOOD + "\n",
        GOOD.swapcase(),
        "AAAA" + GOOD[4:],
        "AAAAAP8=",
        "é",
        "\ud800",
        "_" * 512,
    ],
    ids=ascii,
)
def test_a_token_that_was_not_handed_out_is_refused(token):
    with pytest.raises(ServiceError) as refusal:
        page(models("gpt-4o", "o3"), 1, token)

    assert refusal.value.reason is Reason.INVALID_FIELD
    assert refusal.value.param == "page_token"


@given(st.text(max_size=64))
@settings(max_examples=200, deadline=None)
def test_no_token_raises_anything_else(token):
    with suppress(ServiceError):
        page(models("a"), 1, token)
