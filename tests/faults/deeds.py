"""Faults that are acted out: by the client, and by ourselves. The tests have a function for each."""

from __future__ import annotations

from tests.faults.matrix import Column, Deed, Failure, Whole

OVERLOADED = Failure("OVERLOADED", "UNAVAILABLE", 503, None, hint=1)
SHUTTING_DOWN = Failure("SHUTTING_DOWN", "UNAVAILABLE", 503, "shutting_down", hint=0)
INTERNAL = Failure("INTERNAL", "INTERNAL", 500, None)
LIMITED = Failure(
    "RATE_LIMITED", "RESOURCE_EXHAUSTED", 429, "rate_limit_exceeded", "requests", hint=8
)

WHOLE = (Column.UNARY_HTTP, Column.UNARY_GRPC)
BEFORE = (Column.UNARY_HTTP, Column.HTTP_BEFORE, Column.UNARY_GRPC, Column.GRPC_BEFORE)
AFTER = (Column.HTTP_AFTER, Column.GRPC_AFTER)

LEFT = "counted `CANCELLED`; the provider's connection is closed"


def told(columns, text):
    return dict.fromkeys(columns, text)


def seen(columns, outcome):
    return {column: outcome.cell(column) for column in columns}


def only(*columns, http=None):
    return [column for column in columns if http is None or column.is_http is http]


CLIENT_DEEDS = [
    Deed("leaves-before-head", "leaves before the provider's head", told(BEFORE, LEFT)),
    Deed("leaves-before-first-token", "leaves between head and first token", told(BEFORE, LEFT)),
    Deed(
        "leaves-midway", "leaves midway", told(AFTER, f"{LEFT}; tokens so far are counted"),
        is_split_too=True,
    ),
    Deed(
        "leaves-after-the-last", "leaves after the last byte",
        seen((*WHOLE, *AFTER), Whole()),
    ),
    Deed(
        "reads-slowly", "does not read for a while",
        told(AFTER, "the provider is held back; whole once it is read"),
    ),
    Deed(
        "sends-slowly", "sends its body in drips",
        seen((Column.UNARY_HTTP, Column.HTTP_AFTER), Whole()),
    ),
    Deed(
        "sends-too-slowly", "sends its body slower than may be",
        told((Column.UNARY_HTTP, Column.HTTP_BEFORE), "408, connection closed"),
    ),
    Deed(
        "half-closes", "closes its sending side and waits",
        told((Column.UNARY_HTTP, Column.HTTP_BEFORE, Column.HTTP_AFTER), f"as if it had left: {LEFT}"),
    ),
    Deed(
        "deadline", "has a deadline shorter than the provider's answer",
        told((Column.UNARY_GRPC, Column.GRPC_BEFORE), "`DEADLINE_EXCEEDED`; the provider's connection is closed")
        | told([Column.GRPC_AFTER], "what came, then `DEADLINE_EXCEEDED`; the provider's connection is closed"),
        is_split_too=True,
    ),
    Deed(
        "wait-beyond-deadline", "has a deadline before the wait that a 429 asks for",
        seen((Column.UNARY_GRPC, Column.GRPC_BEFORE), LIMITED),
    ),
    Deed(
        "cancels-500", "500 leave at once, the pool being full",
        told((Column.HTTP_BEFORE, Column.UNARY_GRPC), "500 counted `CANCELLED`; the pool is whole"),
    ),
]  # fmt: skip

OWN_DEEDS = [
    Deed(
        "in-flight-limit", "as many calls as may be are in flight; health still answers",
        seen(BEFORE, OVERLOADED), is_split_too=True,
    ),
    Deed("key-limit", "so they are for this key; others are served", seen(BEFORE, OVERLOADED)),
    Deed("draining", "draining: everything is still served", seen((*WHOLE, *AFTER), Whole())),
    Deed(
        "stopping", "stopping: new calls are refused, open ones end as they would",
        seen(BEFORE, SHUTTING_DOWN) | seen(AFTER, Whole()),
    ),
]  # fmt: skip


def has_the_end(_, events):
    """Tell the last call of `StreamInvariants.check`: the reads decide how many come before."""
    return events[-1].HasField("completed")


BUGS = {
    "openai_http, decoding": ("service.openai_http.chat.decode_chat_request", 1, only(*BEFORE, http=True)),
    "openai_http, encoding": ("service.openai_http.chat.chat_completion", 1, [Column.UNARY_HTTP]),
    "openai_http, writing": ("service.openai_http.sse.ChunkWriter.delta", 3, [Column.HTTP_AFTER]),
    "rpc, decoding": ("service.rpc.servicer._decode", 1, only(*BEFORE, http=False)),
    "inference, pipeline": ("service.inference.pipeline.Pipeline._check", 1, BEFORE),
    "inference, invariants": ("service.inference.pipeline.StreamInvariants.check", has_the_end, AFTER),
    "inference, service": ("service.inference.service._payload", 1, BEFORE),
    "translation, prompt": ("service.translation.chat.flatten", 1, BEFORE),
    "translation, stream": ("service.translation.stream.AnswerStream._send", 3, AFTER),
    "upstream, request": ("service.upstream.client.chat_body", 1, BEFORE),
    "upstream, transport": ("service.upstream.pool.Pool.request", 1, BEFORE),
    "upstream, events": ("service.upstream.events.chat_event", 4, AFTER),
}  # fmt: skip
"""An unexpected exception in each layer: what raises it, at which call (its number, or what tells it), who sees it."""

BUG_DEEDS = [
    Deed(f"bug in {layer}", "an unexpected exception", seen(columns, INTERNAL))
    for layer, (_, _, columns) in BUGS.items()
]


def cells(deeds, *, split=False):
    """Return a test's parameters: every cell of these deeds."""
    return [
        (deed, column)
        for deed in deeds
        for column in deed.outcomes
        if deed.is_split_too or not split
    ]


def ids(cells):
    return [f"{deed.name}-{column.name.lower()}" for deed, column in cells]
