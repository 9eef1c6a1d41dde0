"""How many tokens a text or a conversation has, and where a limit of tokens cuts a text.

Everything works offline: the rank files lie in `ranks/`, and their SHA-256 is checked when they are
loaded. Counting is work for the processor, so it is bounded in three ways. A text is counted in
pieces, because tiktoken panics on a million spaces. What may take long is counted in two threads of
its own, piece by piece, so that the event loop stays free, callers take turns, and a cancelled one
stops. And counts are remembered, because a conversation comes again with every turn.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
import tiktoken

from service.inference.ranks import CL100K, O200K

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from service.inference.ranks import RankFile
    from service.translation.turns import Turn

PIECE_CHARS: Final = 64 * 1024
"""Characters that tiktoken sees at once. A border costs at most a few tokens, always too many."""

INLINE_BYTES: Final = 16 * 1024
"""Up to here the event loop counts itself: 1 ms for prose, and 5 ms for the worst text found (one
long run of spaces, or Chinese). A thread costs 0.1 ms, so it pays above."""

_WORKERS: Final = 2
_SLICE_SECONDS: Final = 0.01
_REMEMBERED: Final = 8192
_REMEMBERED_CHARS: Final = 128  # below, counting is as cheap as remembering
_PANIC_BYTES_PER_TOKEN: Final = 4

# The overhead of a chat, as OpenAI's cookbook counts it ("How to count tokens with tiktoken"). The
# word of a role is one token in both encodings.
_PER_MESSAGE: Final = 3 + 1
_PER_NAME: Final = 1
_PER_REPLY: Final = 3

# Which models are counted with o200k, by the beginning of their names; the first match counts. The
# rest of OpenAI's, and of the vendors, is unknown.
_OPENAI_PREFIXES: Final = (
    ("gpt-4o", True),
    ("gpt-4.", True),
    ("gpt-4", False),
    ("gpt-3.5", False),
    ("gpt-5", True),
    ("gpt-oss", True),  # o200k_harmony: the same ranks, more special tokens
    ("chatgpt-", True),
    ("o1", True),
    ("o3", True),
    ("o4", True),
)

_log = structlog.get_logger("service.tokens")


class LazyEncoder:
    """The encoder over a rank file, made on first need and then kept (65 MB for o200k)."""

    def __init__(self, file: RankFile) -> None:
        self.name = file.name
        self._file = file
        self._loading = threading.Lock()
        self._bpe: tiktoken.Encoding | None = None

    @property
    def loaded(self) -> bool:
        """Whether `bpe` answers at once."""
        return self._bpe is not None

    def bpe(self) -> tiktoken.Encoding:
        """Return the encoder; the first call takes up to half a second.

        Raises:
            RuntimeError: The rank file is not the one that tiktoken expects.
        """
        if self._bpe is None:
            with self._loading:
                if self._bpe is None:
                    self._bpe = self._load()
        return self._bpe

    def _load(self) -> tiktoken.Encoding:
        return tiktoken.Encoding(
            self.name,
            pat_str=self._file.pattern,
            mergeable_ranks=self._file.read(),
            special_tokens={},  # text of a caller is never a special token
        )


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the texts of one model are counted.

    `count` and `take` work where they are called and load the ranks on first need. On the event
    loop they are for texts of up to `INLINE_BYTES`, after `TokenCounter.prepare`.

    Attributes:
        name: tiktoken's name, `o200k_base` or `cl100k_base`.
        estimated: Whether the model's own tokeniser is another or unknown.
    """

    name: str
    estimated: bool
    encoder: LazyEncoder = field(repr=False, compare=False)

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        if len(text) <= PIECE_CHARS:
            return self._count_piece(text)
        return sum(self.counts(text))

    def counts(self, text: str) -> Iterator[int]:
        """Return the number of tokens of each piece of a text, one at a time."""
        return map(self._count_piece, _pieces(text))

    def take(self, text: str, limit: int) -> str:
        """Return what the first `limit` tokens of a text say, without a character cut in two.

        `count` of the result is never above `limit`.
        """
        taken = 0
        for piece in _pieces(text):
            tokens = self._encode(piece)
            count = _estimate(piece) if tokens is None else len(tokens)
            if count > limit:
                return text[:taken] + self._take_piece(piece, tokens, limit)
            limit -= count
            taken += len(piece)
        return text

    def _take_piece(self, piece: str, tokens: list[int] | None, limit: int) -> str:
        if tokens is None:
            head = _utf8(piece)[: limit * _PANIC_BYTES_PER_TOKEN]
        else:
            head = self.encoder.bpe().decode_bytes(tokens[:limit])
        return piece[: len(head.decode(errors="ignore"))]

    def _count_piece(self, piece: str) -> int:
        tokens = self._encode(piece)
        return _estimate(piece) if tokens is None else len(tokens)

    def _encode(self, piece: str) -> list[int] | None:
        """Return the tokens of a piece; None where tiktoken gave up, which the log then says."""
        try:
            return self.encoder.bpe().encode_ordinary(piece)
        except ValueError as error:  # "Max stack size exceeded", from its regular expressions
            reason = type(error).__name__
        except BaseException as error:
            # A panic of Rust is no Exception, and its class cannot be imported.
            if type(error).__module__ != "pyo3_runtime":
                raise
            reason = type(error).__name__
        _log.warning("tokens_estimated", encoding=self.name, chars=len(piece), reason=reason)
        return None


class TokenCounter:
    """Counts for all models; made once, by the composition root. Making it loads nothing."""

    def __init__(self) -> None:
        o200k, cl100k = LazyEncoder(O200K), LazyEncoder(CL100K)
        self._o200k = Encoding(o200k.name, estimated=False, encoder=o200k)
        self._cl100k = Encoding(cl100k.name, estimated=False, encoder=cl100k)
        self._guessed = Encoding(o200k.name, estimated=True, encoder=o200k)
        self._memory = _Memory()
        # Not asyncio's own pool: a thread outlives the cancellation of the task that waits for it,
        # so only the size of the pool is a bound. Its threads start with the first long text.
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="tokens")

    def load(self) -> None:
        """Load the ranks of `o200k_base`; blocks for about half a second.

        Raises:
            RuntimeError: The file is not the one that tiktoken expects.
        """
        self._o200k.encoder.bpe()

    def encoding_for(self, model: str, owner: str) -> Encoding:
        """Return the encoding of a model, without loading it.

        Args:
            model: The provider's id of the model, with or without a vendor in front (`openai/...`).
            owner: The vendor as in the catalogue, for example `openai`.
        """
        vendor, _, name = model.rpartition("/")
        if "openai" in (owner, vendor):
            for prefix, is_o200k in _OPENAI_PREFIXES:
                if name.startswith(prefix):
                    return self._o200k if is_o200k else self._cl100k
        return self._guessed

    async def prepare(self, encoding: Encoding) -> None:
        """Have the ranks of an encoding loaded, in a thread unless they are."""
        if not encoding.encoder.loaded:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._workers, encoding.encoder.bpe)

    async def count_text(self, text: str, encoding: Encoding) -> int:
        """Return the number of tokens of a text."""
        size = len(text) if text.isascii() else 3 * len(text)
        return await self._sum(self._steps(text, encoding), size, encoding)

    async def count_conversation(self, turns: Iterable[Turn], size: int, encoding: Encoding) -> int:
        """Return the number of tokens that OpenAI would count for a conversation.

        Args:
            turns: The conversation; it is read where it is counted, perhaps by a thread.
            size: Bytes of all of it, and not just of the texts: many empty ones are work.
            encoding: How to count.
        """
        return await self._sum(self._conversation_steps(turns, encoding), size, encoding)

    async def _sum(self, steps: Iterator[int], size: int, encoding: Encoding) -> int:
        """Return the sum of the steps, taken here if there is little to count."""
        if not encoding.encoder.loaded:
            await self.prepare(encoding)
        if size <= INLINE_BYTES:
            return sum(steps)
        loop = asyncio.get_running_loop()
        total = 0
        while (count := await loop.run_in_executor(self._workers, _advance, steps)) is not None:
            total += count
        return total

    def _conversation_steps(self, turns: Iterable[Turn], encoding: Encoding) -> Iterator[int]:
        yield _PER_REPLY
        for turn in turns:
            yield _PER_MESSAGE
            if turn.name is not None:
                yield _PER_NAME
                yield from self._steps(turn.name, encoding)
            for text in turn.texts:
                if len(text) <= PIECE_CHARS:  # as a generator it would take twice the time
                    yield self._count(text, encoding)
                else:
                    yield from self._steps(text, encoding)

    def _count(self, text: str, encoding: Encoding) -> int:
        if len(text) < _REMEMBERED_CHARS:
            return encoding.count(text)
        key = hash((encoding.name, text))
        count = self._memory.get(key)
        if count is None:
            count = encoding.count(text)
            self._memory.put(key, count)
        return count

    def _steps(self, text: str, encoding: Encoding) -> Iterator[int]:
        """Yield what a text counts, or each of its pieces where it has several."""
        if len(text) <= PIECE_CHARS:
            yield self._count(text, encoding)
            return
        key = hash((encoding.name, text))
        count = self._memory.get(key)
        if count is not None:
            yield count
            return
        count = 0
        for each in encoding.counts(text):
            count += each
            yield each
        self._memory.put(key, count)


class _Memory:
    """The counts of texts seen lately, by hash: `functools.lru_cache` would keep the texts.

    What is used goes into the young half. When that is full it becomes the old one, and what was in
    the old one is forgotten. Each step is one operation of a dictionary, so that threads need no
    lock: where two of them change the halves at once, more is forgotten.

    Python's hash of a text has 64 bits and a secret of the process in it: two texts that share
    theirs cannot be made, and among so few they do not happen.
    """

    def __init__(self) -> None:
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: int) -> int | None:
        count = self._young.get(key)
        if count is None and (count := self._old.get(key)) is not None:
            self.put(key, count)
        return count

    def put(self, key: int, count: int) -> None:
        if len(self._young) >= _REMEMBERED // 2:
            self._old, self._young = self._young, {}
        self._young[key] = count


def _pieces(text: str) -> Iterator[str]:
    if len(text) <= PIECE_CHARS:
        return iter((text,))
    return (text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS))


def _utf8(piece: str) -> bytes:
    return piece.encode(errors="surrogatepass")  # a lone surrogate counts, and is never refused


def _estimate(piece: str) -> int:
    """Return a count for a piece that tiktoken cannot read: one token for four bytes."""
    return -(-len(_utf8(piece)) // _PANIC_BYTES_PER_TOKEN)


def _advance(steps: Iterator[int]) -> int | None:
    """Return the sum of the next steps, about 10 ms of work; None at the end."""
    end = time.perf_counter() + _SLICE_SECONDS
    total = None
    for count in steps:
        total = count + (total or 0)
        if time.perf_counter() > end:
            break
    return total
