"""What packs and configuration require together, and what the lots on record say of an item."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from edge_gateway.traceability.asked import CHECKS, FULL, LACKING, MOST_EVIDENCE, NOTHING, finding, required
from edge_gateway.traceability.ledger import LotLedger, Requires
from edge_gateway.traceability.model import REQUIRABLE

TODAY, ZONE = "2026-11-28", "Asia/Shanghai"
NOON_US = 1_795_838_400_000_000  # 2026-11-28 12:00 in Beijing
CERTIFIED = Requires(("certificate",))


def pack(before: str, *of: str, **more: str) -> dict[str, Any]:
    return {"pack": "p", "before": before, "of": list(of), "effective_from": "unknown", **more}


def test_a_configuration_adds_and_takes_nothing_away() -> None:
    """Every pair of what a pack and what a site ask: 16 × 16."""
    sets = [c for n in range(5) for c in itertools.combinations(REQUIRABLE, n)]
    for ours, theirs in itertools.product(sets, sets):
        records = {"start_requires": list(theirs), "dispatch_requires": [], "required": [pack("start", *ours), pack("dispatch", *ours)]}
        assert set(required(records, TODAY).start) == {*ours, *theirs}
        assert set(required(records, TODAY).dispatch) == set(ours)
    assert required({}, TODAY) == Requires()


@pytest.mark.parametrize(
    ("begins", "ends", "holds"),
    [("2026-11-28", None, True), ("2026-11-29", None, False), ("unknown", "2026-11-28", True), ("2020-01-01", "2026-11-27", False)],
)
def test_it_holds_from_its_first_day_to_its_last(begins: str, ends: str | None, holds: bool) -> None:
    more = {"effective_from": begins} | ({"effective_to": ends} if ends else {})
    assert (required({"required": [pack("dispatch", "slip", **more)]}, TODAY).dispatch == ("slip",)) is holds


class Books:
    """A ledger that is written at noon, day by day."""

    def __init__(self) -> None:
        self.ledger, self._n = LotLedger("g"), 0

    def add(self, kind: str, days_ago: int = 0, **given: Any) -> None:
        self._n += 1
        body = {"record": f"g-R{self._n}", "type": kind, "rule_us": self._n, "wall_us": NOON_US - days_ago * 86_400_000_000, **given}
        self.ledger.replay(body)

    def intake(self, lot: str, days_ago: int = 0, **given: Any) -> None:
        self.add("intake", days_ago, lot=lot, product="tripe", supplier="S", grams=1000, **given)

    def says(self, check: str) -> tuple[str, list[Any]]:
        state, evidence = finding(check, self.ledger, CERTIFIED, TODAY, ZONE)
        return state, [(each.get("lot") or each["document"], each["lacking"]) for each in evidence]


def test_today_s_intakes() -> None:
    books = Books()
    assert books.says("intakes") == (NOTHING, [])
    books.intake("OLD", 1)
    assert books.says("intakes") == (NOTHING, []), "yesterday's are not today's"
    books.intake("A", certificate="C1")
    assert books.says("intakes") == (FULL, [("A", [])])
    books.intake("B")
    assert books.says("intakes") == (LACKING, [("B", ["certificate"]), ("A", [])])
    books.add("lot", lot="C", **{"from": {"B": None}})
    assert books.says("intakes")[1] == [("B", ["certificate"]), ("A", [])], "what is made here came in as its parents"


def test_all_lots_that_are_here() -> None:
    books = Books()
    books.intake("OLD", 1)
    books.intake("A", certificate="C1")
    books.add("lot", lot="C", grams=500, **{"from": {"A": None}})
    assert books.says("lots") == (LACKING, [("OLD", ["certificate"]), ("C", [])])
    books.add("dispatch", lot="OLD", receiver="R", disposal=True, reason="x")
    assert books.says("lots") == (FULL, [("C", [])]), "what is gone is not here; what was made has its parents' certificates"


def test_what_has_a_date() -> None:
    books = Books()
    books.intake("A", expires="2026-11-28")
    books.add("document", document="health certificate", number="7", expires="2026-12-01")
    assert books.says("unexpired") == (FULL, [("A", []), ("health certificate", [])])
    books.add("document", document="licence", number="8", expires="2026-11-27")
    assert books.says("unexpired")[:1] == (LACKING,)
    assert books.says("unexpired")[1][0] == ("licence", ["unexpired"])


def test_evidence_is_bounded_and_what_lacks_comes_first() -> None:
    books = Books()
    for n in range(MOST_EVIDENCE + 20):
        books.intake(f"L{n}", certificate="C")
    books.intake("LAST")
    state, told = books.says("lots")
    assert (state, len(told), told[0]) == (LACKING, MOST_EVIDENCE, ("LAST", ["certificate"]))
    assert set(CHECKS) == {"intakes", "lots", "unexpired"}
