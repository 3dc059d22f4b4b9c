"""A stream of vectors from a seed, about half of them bad; README.md says what each kind asks. Run as a program it prints them.

`python -m tests.vectors.generated --n 10000 --seed 1 > vectors.jsonl` gives a third person what both verifiers of ours agree on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from tests.vectors import files, packs, signatures, trees
from tests.vectors.trees import Vector

PUBLISHED = Path(__file__).with_name("published.jsonl")
#: How often each kind comes, of all that are generated.
WEIGHTS: dict[Callable[[Random, bool], Vector], int] = {
    trees.sha2: 2,
    trees.tree: 3,
    trees.inclusion: 16,
    trees.consistency: 16,
    signatures.ed25519: 12,
    signatures.key: 5,
    signatures.note: 8,
    signatures.checkpoint: 12,
    signatures.proof: 10,
    files.gzip: 14,
    files.segment: 16,
    files.line: 6,
    packs.pack: 20,
}


def published() -> Iterator[Vector]:
    """Others' own vectors, as they stand in published.jsonl."""
    for row in PUBLISHED.read_text(encoding="utf-8").splitlines():
        yield json.loads(row)


def generated(n: int, seed: int) -> Iterator[Vector]:
    """``n`` of them; the same for the same seed, and the first ones the same for any ``n``."""
    rng = Random(seed)
    makers, weights = list(WEIGHTS), list(WEIGHTS.values())
    for number in range(n):
        maker = rng.choices(makers, weights)[0]
        yield {"name": f"{maker.__name__} {seed}/{number}", **maker(rng, rng.random() < 0.55)}


def is_bad(vector: Vector) -> bool:
    """Whether a right verifier refuses it (or finds it unwitnessed)."""
    want = vector["want"]
    if isinstance(want, dict):
        return want.get("outcome", "verified") != "verified" or ("witnessed" in want and want["witnessed"] is None)
    return want in (False, "bad")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for vector in generated(asked.n, asked.seed):
        print(json.dumps(vector, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
