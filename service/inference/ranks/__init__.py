"""The rank files of two encodings, shipped so that nothing is ever downloaded; see `NOTICE`.

Patterns and hashes are those of `tiktoken_ext.openai_public`, whose own functions would fetch the
files; a test compares them.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import lzma
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RankFile:
    """One rank file.

    Attributes:
        name: tiktoken's name of the encoding, and the stem of the file.
        sha256: Hex digest of the decompressed file.
        pattern: The regular expression that splits a text before its parts are encoded.
    """

    name: str
    sha256: str
    pattern: str

    def read(self) -> dict[bytes, int]:
        """Return the rank of each token; takes up to a third of a second.

        Raises:
            RuntimeError: The file is not the one that tiktoken expects.
        """
        file = importlib.resources.files(__package__) / f"{self.name}.tiktoken.xz"
        content = lzma.decompress(file.read_bytes())
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise RuntimeError(f"the rank file of {self.name} has another SHA-256 than tiktoken's")
        lines = (line.split() for line in content.splitlines())
        return {base64.b64decode(token): int(rank) for token, rank in lines}


O200K: Final = RankFile(
    "o200k_base",
    sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    # tiktoken's, but for the group: what needs no look-ahead is looked for in one pass, and code is
    # counted in three quarters of the time.
    pattern=(
        r"(?:[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+)|\s+(?!\S)|\s+"
    ),
)

CL100K: Final = RankFile(
    "cl100k_base",
    sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    pattern=(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
)
