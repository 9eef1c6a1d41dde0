"""Fuzz one oracle guided by coverage: `python -m tests.fuzz.run sse -max_total_time=600`.

What it finds interesting it keeps in `.fuzz/NAME`, which the next run begins with. An input that
fails is written to `crash-*` and printed; make it a case of a test, then mend the code. The options
are libFuzzer's (https://llvm.org/docs/LibFuzzer.html#options).
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["service"]):
    from tests.fuzz import oracles, seeds


def main():
    name, *options = sys.argv[1:]
    corpus = Path(".fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds.OF[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, str(corpus)], oracles.ORACLES[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
