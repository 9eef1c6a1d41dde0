from __future__ import annotations

import pytest

from service.upstream.payloads import (
    ChatPayload,
    ChatRecord,
    ContentEvent,
    RecordUsage,
    ResultEvent,
)

SECRET = "what a caller said"
HIDDEN = [
    ChatPayload("gpt-4o", SECRET),
    ChatRecord(SECRET, "stop", RecordUsage(1, 2)),
    ContentEvent(SECRET),
    ResultEvent(ChatRecord(SECRET)),
]


@pytest.mark.parametrize("value", HIDDEN, ids=lambda value: type(value).__name__)
def test_what_was_said_is_not_shown(value):
    assert SECRET not in repr(value) + str([value])
    assert type(value).__name__ in repr(value)
