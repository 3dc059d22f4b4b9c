"""The ledger of lots against a reference written from the page: seeded courses of records, corrections, voids, restarts; planted faults."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest

from edge_gateway.traceability import ledger as ledger_module
from edge_gateway.traceability import lots as lots_module
from edge_gateway.traceability import trace as trace_module
from edge_gateway.traceability.ledger import MAX_RECORDS, LotLedger, Requires
from edge_gateway.traceability.model import RecordRefused, days_left, grams, kg, said
from edge_gateway.traceability.trace import in_force, lots_in_force
from tests.traceability import reference
from tests.traceability.reference import Rec, Site

LOTS, ZONES, TODAY = ("L0", "L1", "L2", "L3", "L4", "L5"), ("cold", "wash", "out"), "2026-11-28"
REQUIRES = Requires(("certificate",), ("certificate", "slip"))
SEEDS, STEPS = range(1, 201), 40


def drawn(dice: Random, number: int, t: int) -> Rec:
    kind = dice.choice(("intake", "intake", "lot", "lot", "lot", "dispatch", "dispatch"))
    rec = Rec(number, kind, t, dice.choice(LOTS), reason=dice.random() < 0.5)
    if kind == "intake":
        zone, weight = dice.choice(("", *ZONES)), dice.randrange(1, 9)
        return replace(rec, grams=weight, zone=zone, certificate=dice.random() < 0.8, expired=dice.random() < 0.3)
    if kind == "dispatch":
        weight = dice.choice((None, dice.randrange(1, 9)))
        return replace(rec, grams=weight, slip=dice.random() < 0.8, disposal=dice.random() < 0.2)
    if dice.random() < 0.5:
        return replace(rec, zone=dice.choice(ZONES))
    parents = dice.sample(LOTS, dice.randrange(1, 3))
    taken = tuple((lot, dice.choice((None, dice.randrange(1, 6)))) for lot in parents)
    return replace(rec, frm=taken, zone=dice.choice(("", *ZONES)), grams=dice.choice((None, dice.randrange(1, 9))))


def given(rec: Rec) -> dict[str, Any]:
    told: dict[str, Any] = {"lot": rec.lot, "zone": rec.zone, "grams": rec.grams, "from": dict(rec.frm)}
    if rec.kind == "intake":
        told |= {"product": "tripe", "supplier": "S", "certificate": "C" if rec.certificate else "", "expires": "2026-11-27" if rec.expired else ""}
    if rec.kind == "dispatch":
        told |= {"receiver": "R", "slip": "O" if rec.slip else "", "disposal": rec.disposal}
    return told


class Course:
    """One course through the program and the reference; ``differs`` says where they part."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.site = Site()
        self.ledger = LotLedger("g")
        self.entries: list[dict[str, Any]] = []
        self.state: dict[str, Any] | None = None  # a snapshot, and how many entries it covers
        self.covered = 0
        self.outcomes: dict[str, int] = {}

    def run(self) -> str:
        t = 0
        for _ in range(STEPS):
            t += self.dice.randrange(3)
            rec = drawn(self.dice, self.ledger.number + 1, t)
            old = self.dice.choice([each.id for each in self.site.log]) if self.site.log and self.dice.random() < 0.2 else 0
            void = old and self.dice.random() < 0.4
            if old and not void:
                rec = replace(rec, kind=next(each.kind for each in self.site.log if each.id == old))
                if rec.kind != "lot":
                    rec = replace(rec, frm=())
                rec = replace(rec, grams=rec.grams or (3 if rec.kind == "intake" else None), zone="" if rec.kind == "dispatch" else rec.zone or "cold")
                if rec.kind == "lot" and not rec.frm:
                    rec = replace(rec, grams=None)
            if why := self._step(rec, old, bool(void)) or self._same():
                return f"step at {t}: {why}"
            if self.dice.random() < 0.1:
                self.state, self.covered = orjson.loads(orjson.dumps(self.ledger.snapshot())), len(self.entries)
        return ""

    def _step(self, rec: Rec, old: int, void: bool) -> str:
        if void:
            wanted = "" if reference.weights(self.site.replaced(old, None)) is not None else "impossible"
        else:
            wanted = self.site.corrects(old, rec) if old else self.site.says(rec)
        self.outcomes[wanted] = self.outcomes.get(wanted, 0) + 1
        try:
            body = self._body(rec, old, void)
        except RecordRefused as no:
            return "" if wanted else f"{rec} (corrects {old}, void {void}) is refused: {no.why}"
        if wanted:
            return f"{rec} (corrects {old}, void {void}) is taken, {wanted}"
        entry = orjson.loads(orjson.dumps({**body, "seq": len(self.entries), "kind": "record", "rule_us": rec.t, "wall_us": 1_000 + rec.t}))
        self.entries.append(entry)
        self.ledger.replay(entry)
        self.site.log = self.site.replaced(old, None if void else rec) if old else [*self.site.log, rec]
        return ""

    def _body(self, rec: Rec, old: int, void: bool) -> dict[str, Any]:
        if void:
            return self.ledger.voided(f"g-R{old}", "zhang", "wrong")
        body = self.ledger.draft(rec.kind, given(rec), {"by": "zhang", "reason": "because" if rec.reason else ""})
        if old:
            return self.ledger.corrected(f"g-R{old}", body, REQUIRES)
        self.ledger.check(body, (rec.t, 1_000 + rec.t), REQUIRES, starts=rec.zone == "wash", today=TODAY)
        return body

    def _same(self) -> str:
        """Everything that can be asked, of the running ledger, of one after a restart, and of the journal."""
        again = LotLedger("g")
        if self.state is not None:
            again.restore(self.state)
        for entry in self.entries[self.covered :]:
            again.replay(entry)
        if again.snapshot() != self.ledger.snapshot():
            return "after a restart it is another ledger"
        lots, odd = lots_in_force(in_force(self.entries)[0])
        if odd or lots != self.ledger.lots:
            return "the journal gives other lots"
        log = self.site.log
        if {name: lot.grams_left for name, lot in lots.items()} != reference.weights(log):
            return f"weights {[(name, lot.grams_left) for name, lot in lots.items()]}"
        for name in lots:
            if set(lots_module.kin(lots, name, "parents")) != reference.ancestors(log, name):
                return f"the lots that {name} was made from"
        zone, begin = self.dice.choice(ZONES), self.dice.randrange(80)
        end = self.dice.choice((None, begin + self.dice.randrange(6)))
        instants = range(begin, 90 if end is None else end + 1)
        there = sorted(name for name in lots if any(reference.was_in(log, name, zone, instant) for instant in instants))
        found = self.ledger.scope([zone], begin, end)
        return "" if found == there else f"lots in {zone} from {begin} to {end}: {found}, {there} by the reference"


def test_the_ledger_is_what_the_page_says() -> None:
    outcomes: dict[str, int] = {}
    for seed in SEEDS:
        course = Course(seed)
        assert (why := course.run()) == "", f"seed {seed}: {why}"
        for name, count in course.outcomes.items():
            outcomes[name] = outcomes.get(name, 0) + count
    assert sum(outcomes.values()) == len(SEEDS) * STEPS
    assert all(outcomes.get(name, 0) > 20 for name in ("", "impossible", "missing", "reason", "expired")), outcomes


def _half_open(stay: Any, begin: int, end: int | None) -> bool:
    return not (end is not None and stay.begin_rule_us >= end) and not (stay.end_rule_us is not None and stay.end_rule_us <= begin)


def _careless(lot: Any, part: int | None) -> int:
    return lot.grams_left if part is None else min(part, lot.grams_left)


def _near(lots: Any, name: str, side: str) -> list[str]:
    return list(getattr(lots[name], side)) if name in lots else []


def _own_time(ledger: Any, old: str, body: Any) -> Any:
    """Planted: a correction stands at its own time."""
    return [({"record": f"g-R{ledger.number + 1}", **body, "rule_us": body["rule_us"] + 1} if name == old else rec) for name, rec in ledger._records.items() if not ((body is None or body.get("void")) and name == old)]


def _forgetful(ledger: Any) -> dict[str, Any]:
    return {"number": ledger.number, "records": ledger.records()[:-1]}


@pytest.mark.parametrize(
    "planted",
    [
        (lots_module, "during", _half_open), (lots_module, "taken", _careless), (lots_module, "kin", _near), (LotLedger, "_with", _own_time),
        (LotLedger, "snapshot", _forgetful), (lots_module, "_leave", lambda lot, record: None), (ledger_module, "lacking", lambda *_: []),
        (trace_module, "apply", lambda lots, record: None), (ledger_module, "days_left", lambda expires, today: 5),
    ],
    ids=["half-open", "takes-more-than-there-is", "near-kin-only", "own-time", "forgets-one", "never-leaves", "requires-nothing", "trace-is-blind", "never-expires"],
)  # fmt: skip
def test_each_planted_fault_is_noticed(monkeypatch: pytest.MonkeyPatch, planted: tuple[Any, str, Any]) -> None:
    monkeypatch.setattr(*planted)
    assert any(_parts(seed) for seed in SEEDS)


def _parts(seed: int) -> bool:
    try:
        return bool(Course(seed).run())
    except (RecordRefused, IndexError, KeyError, TypeError):
        return True


def test_what_is_over_gives_way_a_family_at_a_time_and_then_nothing_more_begins() -> None:
    ledger = LotLedger("g")

    def add(kind: str, told: dict[str, Any]) -> None:
        body = ledger.draft(kind, told, {"by": "zhang"})
        ledger.replay({**body, "rule_us": ledger.number, "wall_us": ledger.number})

    for lot in range(MAX_RECORDS // 2):
        add("intake", {"lot": f"A{lot}", "product": "p", "supplier": "s", "grams": 10})
        add("dispatch", {"lot": f"A{lot}", "receiver": "r", "slip": "o"})
    assert len(ledger.records()) == MAX_RECORDS
    for lot in range(MAX_RECORDS):
        add("intake", {"lot": f"B{lot}", "product": "p", "supplier": "s", "grams": 10})
        assert len(ledger.records()) <= MAX_RECORDS
    assert list(ledger.lots) == [f"B{lot}" for lot in range(MAX_RECORDS)]
    with pytest.raises(RecordRefused, match="in force"):
        add("intake", {"lot": "C", "product": "p", "supplier": "s", "grams": 10})
    assert ledger.number == 2 * MAX_RECORDS


@pytest.mark.parametrize(("text", "weight"), [("120", 120_000), ("120.5", 120_500), ("0.001", 1), (" 7 ", 7_000), (12.345, 12_345)])
def test_a_weight_is_exact(text: object, weight: int) -> None:
    assert grams(text) == weight
    assert grams(kg(weight)) == weight


@pytest.mark.parametrize("text", ["", "0", "-1", "1.2345", "nan", "inf", "1e30", "12 kg", True, None, "0x10"])
def test_what_is_no_weight_is_refused(text: object) -> None:
    with pytest.raises(RecordRefused):
        grams(text)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("intake", {"lot": "A", "product": "p", "supplier": "s"}), ("intake", {"lot": "A B", "product": "p", "supplier": "s", "grams": 1}),
        ("intake", {"lot": "A", "product": "p\x1b[2J", "supplier": "s", "grams": 1}), ("intake", {"lot": "A", "product": "p" * 121, "supplier": "s", "grams": 1}),
        ("intake", {"lot": "A", "product": "p", "supplier": "s", "grams": 1, "expires": "2026-13-01"}), ("lot", {"lot": "A", "from": ["B"]}),
        ("lot", {"lot": "A", "from": {f"B{n}": None for n in range(13)}}), ("dispatch", {"lot": "A"}), ("document", {"document": "d"}), ("other", {}),
        ("dispatch", {"lot": "A", "receiver": "r", "supplier": "s"}), ("intake", {"lot": "A", "product": "p", "supplier": "s", "grams": -1}),
    ],
)  # fmt: skip
def test_what_a_record_cannot_say_is_refused(kind: str, told: dict[str, Any]) -> None:
    with pytest.raises(RecordRefused):
        said(kind, told)


def test_the_last_day_still_counts() -> None:
    assert [days_left("2026-11-28", today) for today in ("2026-11-27", "2026-11-28", "2026-11-29")] == [1, 0, -1]
    assert days_left("", "2026-11-28") is None
