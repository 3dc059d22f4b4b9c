"""Tampering against ``journal verify``: packs and folders, changed in every way that we know, by people with and without keys.

``python -m tests.faults.tamper --n 10000 --seed 1``: at least n tampered cases, n/10 forks, roll-backs and clones, n/10 honest
journals that came through power cuts. The last line is JSON; the exit status is 1 if anything tampered with at or below the newest
cosignature given was verified, if anything honest was called broken, or if a planted weak verifier got through.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.evidence import check, judge
from edge_gateway.record.note import Key
from tests.faults import results, tamper_folders
from tests.faults.tampering import Case, cases

HISTORIES = ("fork", "roll-back", "clone")
VERIFIED, BROKEN = judge.VERIFIED, judge.BROKEN


@dataclass
class Tally:
    """``tampered`` and ``histories`` must be found, ``honest`` must not be refused; ``wrong`` says which were not so."""

    tampered: int = 0
    found: int = 0
    histories: int = 0
    histories_found: int = 0
    cut_backs: int = 0
    cut_backs_found_without: int = 0
    cut_backs_against: int = 0
    cut_backs_found_against: int = 0
    honest: int = 0
    honest_verified: int = 0
    crashed_journals: int = 0
    crashed_verified: int = 0
    crashed_packs_verified: int = 0
    false_alarms: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong = self.wrong[:20]

    def saw(self, where: str, case: Case, outcome: str) -> None:
        """One pack's outcome."""
        found = outcome != VERIFIED
        if case.name == "cut-back":
            self.cut_backs += 1
            self.cut_backs_found_without += found
        elif case.name == "cut-back-against":
            self.cut_backs_against += 1
            self.cut_backs_found_against += found
        elif case.name in HISTORIES:
            self.histories += 1
            self.histories_found += found
        elif case.must == "fail":
            self.tampered += 1
            self.found += found
        elif case.must == "verify":
            self.honest += 1
            self.honest_verified += not found
            self.false_alarms += outcome == BROKEN
        if (case.must == "fail" and not found) or (case.must == "verify" and found):
            self.wrong.append(f"{where} {case.name}: {outcome}")


def packs(seeds: range) -> Tally:
    """Every case of these seeds."""
    tally = Tally()
    for seed in seeds:
        for case in cases(seed):
            verdict = check.check(io.BytesIO(case.pack), judge.Asked(case.key, case.witness, case.against))
            tally.saw(f"seed {seed}", case, verdict.outcome)
    return tally


def folders(seeds: range, every: int = 20) -> Tally:
    """One folder that came through crashes a seed, and with each ``every``-th seed one that is forged in each way."""
    tally = Tally()
    for seed in seeds:
        for name, verdict in tamper_folders.honest(seed):
            tally.crashed_journals += name == "folder"
            verified = verdict.outcome == VERIFIED
            tally.crashed_verified += verified and name == "folder"
            tally.crashed_packs_verified += verified and name == "pack"
            if verdict.outcome == BROKEN:
                tally.false_alarms += 1
                tally.wrong.append(f"seed {seed} crash-recovered {name}: {verdict.outcome} {verdict.code} {verdict.broken}")
        for name, verdict, must in tamper_folders.forged(seed) if seed % every == 0 else ():
            case = Case(name, b"", "fail" if must else "either" if name == "cut-back" else "verify")
            tally.saw(f"folder seed {seed}", case, verdict.outcome)
    return tally


# --- verifiers that are weak on purpose: the cases must find each -----------------------------------------------------------

Patch = tuple[Any, str, Any]


def _believing_keys(asked: judge.Asked, named: list[Key], reasons: judge.Reasons) -> judge.Trusted:
    """Takes the keys in the pack for true."""
    mine = judge.Trusted(*(next((key for key in named if key.kind == kind), None) for kind in (1, 4)))
    return mine if mine.gateway else _trusted(asked, named, reasons)


_trusted, _weigh = judge.trusted, judge.weigh


def _any_signature(data: bytes, epoch: str, known: judge.Trusted) -> judge.Weighed:
    """Does not verify signatures."""
    found = _weigh(data, epoch, known)
    return judge.Weighed(found.head, True, 1 << 40, False, (), True) if found.head else found




PLANTED: dict[str, Patch] = {
    "trusts the keys inside": (judge, "trusted", _believing_keys),
    "verifies no signature": (judge, "weigh", _any_signature),
    "compares no root": (judge, "fitting", lambda tested, known, reasons=None: [(s, w) for s, d in sorted(tested.notes) if (w := _weigh(d, tested.epoch, known)).counts]),
    "believes the claim": (check, "_claimed", lambda *_: None),
    "never looks at --against": (judge, "against", lambda *_, **__: None),
    "lets holes pass": (check.Walked, "between", property(lambda self: 0, lambda self, value: None)),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """A weak verifier while it lasts."""
    where, attribute, weak = PLANTED[name]
    right = getattr(where, attribute)
    setattr(where, attribute, weak)
    try:
        yield
    finally:
        setattr(where, attribute, right)


def caught(name: str, seed: int, most: int = 60) -> int:
    """Packs until a weak verifier is found out by the cases; 0 if it is not."""
    done = 0
    with planted(name):
        for at in range(seed, seed + most):
            for case in cases(at):
                done += 1
                outcome = check.check(io.BytesIO(case.pack), judge.Asked(case.key, case.witness, case.against)).outcome
                if case.must == "fail" and outcome == VERIFIED:
                    return done
    return 0


def _enough(part: Callable[[range], Tally], total: Tally, n: int) -> bool:
    return total.crashed_journals * 10 >= n if part is folders else total.tampered >= n and total.histories * 10 >= n


def campaign(n: int, seed: int, workers: int, budget_s: float) -> dict[str, Any]:
    """At least ``n`` tampered cases, n/10 histories, n/10 journals through crashes, or what the budget allows."""
    ends, total, at = time.monotonic() + budget_s, Tally(), seed * 1_000_000
    with ProcessPoolExecutor(workers) as pool:
        weak = {name: pool.submit(caught, name, at) for name in PLANTED}
        for part, chunk in ((packs, max(1, min(20, n // 200))), (folders, max(1, min(25, n // 40)))):
            while time.monotonic() < ends and not _enough(part, total, n):
                parts = [range(at + one * chunk, at + (one + 1) * chunk) for one in range(workers)]
                at += chunk * workers
                for tally in pool.map(part, parts):
                    total.add(tally)
        found = {name: future.result() for name, future in weak.items()}
    counts = {name: getattr(total, name) for name in total.__dataclass_fields__ if name != "wrong"}
    for line in total.wrong:
        print(line)
    passed = not total.wrong and all(found.values()) and total.cut_backs_against == total.cut_backs_found_against > 0
    return {"n": total.tampered, "seed": seed, **counts, "planted": found, "passed": passed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="tampered cases at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget-s", type=float, default=1800.0, help="begin nothing further after so many seconds")
    options = parser.parse_args()
    began = time.monotonic()
    result = campaign(options.n, options.seed, options.workers, options.budget_s)
    result["seconds"] = round(time.monotonic() - began, 1)
    results.append("tamper", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
