from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from onemin.inference.v1 import chat_pb2
from service.inference import tokens as module
from service.inference.tokens import INLINE_BYTES, PIECE_CHARS, Encoding, LazyEncoder, TokenCounter
from service.translation.turns import turns_of

SYSTEM = chat_pb2.CHAT_ROLE_SYSTEM
USER = chat_pb2.CHAT_ROLE_USER


@pytest.fixture(scope="module")
def tokens():
    return TokenCounter()


@pytest.fixture(scope="module")
def o200k(tokens):
    return tokens.encoding_for("gpt-4o", "openai")


@pytest.fixture(scope="module")
def cl100k(tokens):
    return tokens.encoding_for("gpt-4", "openai")


def message(role, *texts, name=None):
    parts = [chat_pb2.ContentPart(text=text) for text in texts]
    return chat_pb2.ChatMessage(role=role, parts=parts, name=name)


async def count_conversation(tokens, messages, encoding):
    spec = chat_pb2.ChatCompletionSpec(messages=messages)
    return await tokens.count_conversation(turns_of(spec.messages), spec.ByteSize(), encoding)


class ScriptedEncoder:
    """Stands where tiktoken stands, and sees the pieces that it would see."""

    loaded = True

    def __init__(self, encode=list):
        self.pieces = []
        self._encode = encode

    def bpe(self):
        return self

    def encode_ordinary(self, piece):
        self.pieces.append(piece)
        return self._encode(piece)


def scripted(encode=list, name="scripted"):
    return Encoding(name, estimated=False, encoder=ScriptedEncoder(encode))


# Which encoding


@pytest.mark.parametrize(
    ("model", "owner", "name", "estimated"),
    [
        ("gpt-4o", "openai", "o200k_base", False),
        ("gpt-4o-mini-2024-07-18", "openai", "o200k_base", False),
        ("gpt-4.1-nano", "openai", "o200k_base", False),
        ("gpt-4.5-preview", "openai", "o200k_base", False),
        ("gpt-5", "openai", "o200k_base", False),
        ("gpt-5.2-codex", "openai", "o200k_base", False),
        ("chatgpt-4o-latest", "openai", "o200k_base", False),
        ("o1-preview", "openai", "o200k_base", False),
        ("o3", "openai", "o200k_base", False),
        ("o4-mini", "openai", "o200k_base", False),
        ("openai/gpt-oss-120b", "openai", "o200k_base", False),
        ("openai/gpt-oss-20b", "replicate", "o200k_base", False),
        ("gpt-4", "openai", "cl100k_base", False),
        ("gpt-4-0613", "openai", "cl100k_base", False),
        ("gpt-4-turbo", "openai", "cl100k_base", False),
        ("gpt-3.5-turbo", "openai", "cl100k_base", False),
        ("gpt-6-sol", "openai", "o200k_base", True),
        ("claude-sonnet-4-5", "anthropic", "o200k_base", True),
        ("gpt-4", "somebody", "o200k_base", True),
        ("meta/meta-llama-3-70b-instruct", "meta", "o200k_base", True),
        ("", "", "o200k_base", True),
    ],
)
def test_the_encoding_of_a_model(tokens, model, owner, name, estimated):
    encoding = tokens.encoding_for(model, owner)
    assert (encoding.name, encoding.estimated) == (name, estimated)


def test_ranks_are_loaded_when_they_are_needed():
    tokens = TokenCounter()
    o200k = tokens.encoding_for("gpt-4o", "openai").encoder
    cl100k = tokens.encoding_for("gpt-4", "openai").encoder
    assert (o200k.loaded, cl100k.loaded) == (False, False)
    tokens.load()
    assert (o200k.loaded, cl100k.loaded) == (True, False)


class MeetingFile:
    """A rank file in which each byte is a token; who reads it waits for another reader."""

    name = "bytes"
    pattern = r"(?s)."

    def __init__(self):
        self.reads = 0
        self._meeting = threading.Barrier(2)

    def read(self):
        self.reads += 1
        with contextlib.suppress(threading.BrokenBarrierError):
            self._meeting.wait(timeout=0.2)
        return {bytes([byte]): byte for byte in range(256)}


def test_ranks_are_loaded_once_by_many_threads():
    file = MeetingFile()
    encoder = LazyEncoder(file)
    with ThreadPoolExecutor(4) as threads:
        encoders = list(threads.map(lambda _: encoder.bpe(), range(8)))
    assert file.reads == 1
    assert encoders == [encoder.bpe()] * 8


# How many tokens


@pytest.mark.parametrize(
    ("text", "o200k_ids", "cl100k_ids"),
    [
        ("hello world", [24912, 2375], [15339, 1917]),
        (
            "2 + 2 = 4",
            [17, 659, 220, 17, 314, 220, 19],
            [17, 489, 220, 17, 284, 220, 19],
        ),
        ("today\n \n", None, [31213, 27907]),
        ("", [], []),
    ],
)
def test_known_ids(o200k, cl100k, text, o200k_ids, cl100k_ids):
    if o200k_ids is not None:
        assert o200k.encoder.bpe().encode_ordinary(text) == o200k_ids
        assert o200k.count(text) == len(o200k_ids)
    assert cl100k.encoder.bpe().encode_ordinary(text) == cl100k_ids
    assert cl100k.count(text) == len(cl100k_ids)


def test_known_counts(o200k, cl100k):
    assert o200k.count("お誕生日おめでとう") == 8
    assert cl100k.count("お誕生日おめでとう") == 9


def test_special_tokens_of_a_caller_are_text(o200k, cl100k):
    assert o200k.count("<|endoftext|>") == 7
    assert cl100k.count("<|endoftext|>") == 7


def test_a_lone_surrogate_is_counted(o200k):
    assert o200k.count("a\ud800b") > 0


def test_a_long_text_is_counted_in_pieces():
    encoding = scripted()
    text = "x" * (2 * PIECE_CHARS + 1)
    assert encoding.count(text) == len(text)
    assert [len(piece) for piece in encoding.encoder.pieces] == [PIECE_CHARS, PIECE_CHARS, 1]


COOKBOOK = [
    message(
        SYSTEM,
        "You are a helpful, pattern-following assistant that translates corporate jargon into"
        " plain English.",
    ),
    message(SYSTEM, "New synergies will help drive top-line growth.", name="example_user"),
    message(
        SYSTEM,
        "Things working well together will increase revenue.",
        name="example_assistant",
    ),
    message(
        SYSTEM,
        "Let's circle back when we have more bandwidth to touch base on opportunities for"
        " increased leverage.",
        name="example_user",
    ),
    message(
        SYSTEM,
        "Let's talk later when we're less busy about how to do better.",
        name="example_assistant",
    ),
    message(
        USER,
        "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    ),
]


@pytest.mark.anyio
async def test_the_chat_of_the_cookbook(tokens, o200k, cl100k):
    assert await count_conversation(tokens, COOKBOOK, o200k) == 124
    assert await count_conversation(tokens, COOKBOOK, cl100k) == 129


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("messages", "count"),
    [
        pytest.param([], 3, id="nothing"),
        pytest.param([message(USER)], 3 + 4, id="no parts"),
        pytest.param([message(USER, "")], 3 + 4, id="empty part"),
        pytest.param([message(USER, "hello world")], 3 + 4 + 2, id="text"),
        pytest.param([message(USER, "hello", " world")], 3 + 4 + 2, id="parts"),
        pytest.param([message(USER, name="hello world")], 3 + 4 + 1 + 2, id="name"),
        pytest.param([message(USER), message(SYSTEM)], 3 + 4 + 4, id="two messages"),
    ],
)
async def test_the_overhead_of_a_chat(tokens, o200k, messages, count):
    assert await count_conversation(tokens, messages, o200k) == count


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool"])
def test_the_word_of_a_role_is_one_token(o200k, cl100k, role):
    assert (o200k.count(role), cl100k.count(role)) == (1, 1)


@pytest.mark.anyio
async def test_a_short_and_a_long_text_are_counted_alike(tokens, o200k):
    for text in ("word " * 100, "word " * INLINE_BYTES, "日本" * 4000):
        assert await tokens.count_text(text, o200k) == o200k.count(text)


# Where a limit cuts


@pytest.mark.parametrize(
    ("text", "limit", "taken"),
    [
        ("hello world", 0, ""),
        ("hello world", 1, "hello"),
        ("hello world", 2, "hello world"),
        ("hello world", 9, "hello world"),
        ("", 0, ""),
        ("a\U0001f9ffb", 1, "a"),
        ("a\U0001f9ffb", 2, "a"),  # the character has three tokens
        ("a\U0001f9ffb", 3, "a"),
        ("a\U0001f9ffb", 4, "a\U0001f9ff"),
        ("a\U0001f9ffb", 5, "a\U0001f9ffb"),
    ],
)
def test_a_limit_cuts_between_characters(o200k, text, limit, taken):
    assert o200k.take(text, limit) == taken


def test_a_limit_counts_over_pieces():
    encoding = scripted(lambda piece: [0] * (len(piece) // PIECE_CHARS))
    text = "x" * (2 * PIECE_CHARS)
    assert encoding.take(text, 2) == text


def test_a_limit_cuts_in_a_later_piece(o200k):
    text = "word " * PIECE_CHARS
    first = o200k.count(text[:PIECE_CHARS])
    taken = o200k.take(text, first + 3)
    assert text.startswith(taken)
    assert PIECE_CHARS < len(taken) < PIECE_CHARS + 20


WORDS = st.sampled_from(
    ["don't", " HELLo", "  ", "\n", "\r\n", "é", "日本", "\U0001f9ff", "e\u0301", "a" * 20, "12345"]
)


@given(
    text=st.lists(WORDS | st.text(max_size=5), max_size=12).map("".join), limit=st.integers(0, 20)
)
@settings(max_examples=300, deadline=None)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_what_is_taken_is_a_beginning_within_the_limit(tokens, model, text, limit):
    encoding = tokens.encoding_for(model, "openai")
    taken = encoding.take(text, limit)
    assert text.startswith(taken)
    assert encoding.count(taken) <= limit
    assert (taken == text) == (encoding.count(text) <= limit)


# When tiktoken gives up


Panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})


def failing(error):
    def encode(_piece):
        raise error

    return scripted(encode)


@pytest.mark.parametrize("error", [Panic("secret"), ValueError("Max stack size exceeded")])
def test_a_piece_that_tiktoken_cannot_read_is_estimated(error):
    encoding = failing(error)
    with capture_logs() as logs:
        assert encoding.count("x" * 41) == 11
        assert encoding.count("é" * 4) == 2
        assert encoding.take("x" * 41, 3) == "x" * 12
        assert encoding.take("日" * 41, 1) == "日"
    assert logs[0] == {
        "event": "tokens_estimated",
        "log_level": "warning",
        "encoding": "scripted",
        "chars": 41,
        "reason": type(error).__name__,
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_other_failures_are_not_an_estimate(error):
    with pytest.raises(type(error)):
        failing(error).count("x")


# Off the event loop


@contextlib.asynccontextmanager
async def heartbeat():
    """Yield a list that grows with each turn of the event loop."""
    beats = []

    async def beat():
        while True:
            beats.append(None)
            await asyncio.sleep(0)

    task = asyncio.create_task(beat())
    try:
        yield beats
    finally:
        task.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([message(USER, " " * 1_000_000)], id="spaces"),
        pytest.param([message(USER, "five MB of prose. " * 290_000)], id="one text"),
        pytest.param([message(USER, *["part"] * 250) for _ in range(400)], id="many parts"),
    ],
)
async def test_the_loop_turns_while_much_is_counted(tokens, o200k, messages):
    await tokens.prepare(o200k)
    async with heartbeat() as beats:
        await count_conversation(tokens, messages, o200k)
    assert len(beats) > 10


@pytest.mark.anyio
async def test_little_is_counted_without_a_thread():
    seen = []

    def encode(_piece):
        seen.append(threading.current_thread())
        return [0]

    tokens, encoding = TokenCounter(), scripted(encode)
    await tokens.count_text("x" * INLINE_BYTES, encoding)
    assert seen == [threading.main_thread()]
    await tokens.count_text("x" * (INLINE_BYTES + 1), encoding)
    assert threading.main_thread() not in seen[1:]


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", "a"])
async def test_many_tiny_texts_are_not_little(text):
    seen = []

    def encode(_piece):
        seen.append(threading.current_thread())
        return [0]

    messages = [message(USER, *[text] * 256) for _ in range(64)]
    assert (
        await count_conversation(TokenCounter(), messages, scripted(encode)) == 64 * (256 + 4) + 3
    )
    assert threading.main_thread() not in seen
    assert len(seen) == 64 * 256


@pytest.mark.anyio
async def test_ranks_are_loaded_off_the_loop_when_a_text_is_counted():
    tokens = TokenCounter()
    encoding = tokens.encoding_for("gpt-4", "openai")
    async with heartbeat() as beats:
        assert await tokens.count_text("hello world", encoding) == 2
    assert len(beats) > 2


class Gate:
    """An encoder's work that waits until it is let through."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, _piece):
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        assert self.open.wait(10)
        with self._lock:
            self.inside -= 1
        return [0]


@pytest.mark.anyio
async def test_counting_leaves_the_other_threads_alone():
    gate = Gate()
    tokens = TokenCounter()
    texts = [f"{number}" * INLINE_BYTES * 2 for number in range(8)]
    counts = [asyncio.create_task(tokens.count_text(text, scripted(gate))) for text in texts]
    for _ in range(2):
        assert await asyncio.to_thread(gate.entered.acquire, timeout=10)
    gate.open.set()
    await asyncio.gather(*counts)
    assert gate.most == 2


@pytest.mark.anyio
async def test_a_cancelled_count_stops(monkeypatch):
    monkeypatch.setattr(module, "_SLICE_SECONDS", 0.0)  # a thread takes one piece at a time
    gate = Gate()
    tokens = TokenCounter()
    encoding = scripted(gate)
    count = asyncio.create_task(tokens.count_text("x" * 100 * PIECE_CHARS, encoding))
    assert await asyncio.to_thread(gate.entered.acquire, timeout=10)
    count.cancel()
    with pytest.raises(asyncio.CancelledError):
        await count
    gate.open.set()
    tokens._workers.shutdown(wait=True)
    assert len(encoding.encoder.pieces) == 1


# Remembered counts


@pytest.mark.anyio
async def test_the_count_of_a_text_is_remembered():
    tokens, encoding, other = TokenCounter(), scripted(), scripted(name="other")
    long = "y" * 3 * PIECE_CHARS
    for _ in range(2):
        assert await tokens.count_text("x" * 500, encoding) == 500
        assert await tokens.count_text("x" * 500, other) == 500
        assert await count_conversation(tokens, [message(USER, "x" * 500)], encoding) == 507
        assert await tokens.count_text(long, encoding) == len(long)
    assert len(encoding.encoder.pieces) == 1 + 3
    assert len(other.encoder.pieces) == 1


@pytest.mark.anyio
async def test_what_is_not_used_is_forgotten():
    tokens, encoding = TokenCounter(), scripted()
    texts = [f"{number:0200}" for number in range(20_000)]
    for text in texts:
        await tokens.count_text(text, encoding)
        await tokens.count_text(texts[0], encoding)  # used, so not forgotten
        assert len(tokens._memory) <= 8192
    assert encoding.encoder.pieces == texts
    encoding.encoder.pieces.clear()
    for text in (texts[0], texts[-1], texts[-4000], texts[1]):
        await tokens.count_text(text, encoding)
    assert encoding.encoder.pieces == [texts[1]]


@pytest.mark.anyio
async def test_no_text_is_kept():
    tokens, encoding = TokenCounter(), scripted()
    await tokens.count_text("my secret " * 50, encoding)
    ((key, count),) = tokens._memory._young.items()
    assert (type(key), count) == (int, 500)
