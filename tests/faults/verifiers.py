"""Both verifiers, Python's and verify.html's, on the same vectors: about half of them bad, others' own among them, and packs of the tampering campaign.

``python -m tests.faults.verifiers --n 10000 --seed 1``: n generated vectors, the published ones, and tampered packs; verify.html in Chromium
without BigInt, crypto.subtle and DecompressionStream. The last line is JSON; the exit status is 1 if an answer is not the one that the vector
wants, if the two differ on a pack, or if a verifier with one check dropped is not found out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tests.evidence import javascript_answers, python_answers, weakened
from tests.faults import results
from tests.faults.tampering import cases
from tests.vectors import oracle
from tests.vectors.generated import generated, is_bad, published

Vector = dict[str, Any]
_AT_ONCE = 1000
#: Generated vectors that a weakened verifier is shown, of the kinds that look at the dropped check.
_SHOWN = 3000


def tampered(seeds: range) -> Iterator[Vector]:
    """Packs made by the gateway's own code; what is wanted is what must come of each, not how it is said."""
    for seed in seeds:
        for case in cases(seed):
            against = oracle.b64(case.against) if case.against else None
            given = {"pack": oracle.b64(case.pack), "gateway": case.key, "witness": case.witness, "against": against}
            yield {"name": f"{case.name} {seed}", "kind": "pack", "given": given, "must": case.must}


def wrong(vector: Vector, python: Any, javascript: Any) -> str | None:
    """What is wrong with the two answers; None when nothing is."""
    if "must" in vector:
        verified = python["outcome"] == "verified"
        right = python == javascript and (vector["must"] == "either" or verified == (vector["must"] == "verify"))
        return None if right else f"{vector['name']}: must {vector['must']}, Python {python}, JavaScript {javascript}"
    if python == javascript == vector["want"]:
        return None
    return f"{vector['name']}: wants {vector['want']}, Python {python}, JavaScript {javascript}"


async def compared(vectors: Sequence[Vector]) -> list[str]:
    """All that is wrong."""
    in_chromium = await javascript_answers.by_chromium(vectors)
    pairs = zip(vectors, map(python_answers.answer, vectors), in_chromium, strict=True)
    return [told for each in pairs if (told := wrong(*each))]


def shown(weak: weakened.Weak, seed: int, most: int = _SHOWN) -> list[Vector]:
    """The vectors that could find a weak verifier out."""
    return [each for each in (*published(), *generated(most, seed)) if each["kind"] in weak.kinds]


async def found_out(weak: weakened.Weak, seed: int, folder: Path, most: int = _SHOWN) -> int:
    """How many vectors a weakened verifier answers wrongly."""
    vectors = shown(weak, seed, most)
    if weak in weakened.PYTHON:
        return weakened.python_caught(weak, vectors, folder)
    with weakened.weakened(weak, folder) as page:
        answers = await javascript_answers.by_chromium(vectors, page)
    return sum(answer != each["want"] for each, answer in zip(vectors, answers, strict=True))


async def campaign(n: int, seed: int, budget_s: float) -> dict[str, Any]:
    """At least ``n`` vectors, or what the budget allows."""
    ends, kinds, bad, told, packs = time.monotonic() + budget_s, Counter[str](), 0, [], Counter[str]()
    stream = iter([*published(), *generated(n, seed)])
    while time.monotonic() < ends and (some := list(islice(stream, _AT_ONCE))):
        told += await compared(some)
        kinds.update(each["kind"] for each in some)
        bad += sum(map(is_bad, some))
    for at in range(seed * 1000, seed * 1000 + max(1, n // 1000)):
        if time.monotonic() >= ends:
            break
        some = list(tampered(range(at, at + 1)))
        told += await compared(some)
        packs.update(each["must"] for each in some)
    with tempfile.TemporaryDirectory() as folder:
        languages = {"javascript": weakened.JAVASCRIPT, "python": weakened.PYTHON}
        planted = {name: {weak.name: await found_out(weak, seed, Path(folder)) for weak in some} for name, some in languages.items()}
    for line in told[:20]:
        print(line)
    passed = not told and all(all(some.values()) for some in planted.values())
    return {
        "n": kinds.total() + packs.total(), "seed": seed, "vectors": kinds.total(), "bad": bad, "kinds": dict(kinds), "tampered_packs": dict(packs),
        "wrong": len(told), "planted": planted, "passed": passed,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=3600.0, help="begin nothing further after so many seconds")
    options = parser.parse_args()
    began = time.monotonic()
    result = asyncio.run(campaign(options.n, options.seed, options.budget_s))
    result["seconds"] = round(time.monotonic() - began, 1)
    results.append("verifiers", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
