"""Pages of a list of models, as AIP-158 asks for (https://google.aip.dev/158)."""

from __future__ import annotations

import base64
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onemin.inference.v1 import model_pb2

MAX_PAGE_SIZE: Final = 1000
"""Models in one page."""


def page(
    models: Sequence[model_pb2.Model], page_size: int, page_token: str
) -> tuple[Sequence[model_pb2.Model], str]:
    """Return one page of `models`, which are sorted by id, and the token of the next.

    A token tells the last id of its page, so that it is good in any process, and a list that
    changes between two pages makes no model come twice or be left out. `page_size` is not
    negative; 0 means the maximum, as does a larger one.

    Raises:
        ServiceError: `INVALID_FIELD` if the token is not one that was handed out.
    """
    size = min(page_size or MAX_PAGE_SIZE, MAX_PAGE_SIZE)
    start = bisect_right(models, _last_id(page_token), key=_id_of) if page_token else 0
    chosen = models[start : start + size]
    more = start + size < len(models)
    return chosen, _token_after(chosen[-1].id) if more else ""


def _id_of(model: model_pb2.Model) -> str:
    return model.id


def _token_after(model_id: str) -> str:
    last = model_id.encode()
    return base64.urlsafe_b64encode(zlib.crc32(last).to_bytes(4) + last).decode()


def _last_id(token: str) -> str:
    try:
        last_id = base64.urlsafe_b64decode(token)[4:].decode()
    except ValueError:
        last_id = ""
    # Made again, it must be the same: the checksum fits, and no stray characters were skipped.
    if _token_after(last_id) != token:
        raise ServiceError.invalid_field(
            "page_token",
            "The page token is not one that this service handed out.",
            "invalid_value",
        )
    return last_id
