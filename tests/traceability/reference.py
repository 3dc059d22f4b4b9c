"""What docs/reference/records.md says of lots, a second time and plainly: written from the page, imports nothing of the program.

All is found by going through the whole list of records again, and by looking at single instants.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise


@dataclass(frozen=True)
class Rec:
    """One record. ``frm``: pairs of a lot and a weight (None: all that is left)."""

    id: int
    kind: str
    t: int
    lot: str = ""
    grams: int | None = None
    frm: tuple[tuple[str, int | None], ...] = ()
    zone: str = ""
    certificate: bool = False
    slip: bool = False
    disposal: bool = False
    reason: bool = False
    expired: bool = False


@dataclass
class Site:
    """All records in force, in order."""

    log: list[Rec] = field(default_factory=list)

    def says(self, new: Rec) -> str:
        """"" where it may be recorded, else the first word of why not."""
        if weights([*self.log, new]) is None:
            return "impossible"
        if new.kind == "dispatch" and not new.disposal:
            if not all(origin.certificate for origin in origins(self.log, new.lot)) or not new.slip:
                return "missing"
            if expired([*self.log, new], new.lot) and not new.reason:
                return "expired"
        if new.disposal and not new.reason:
            return "reason"
        if new.kind == "lot" and (new.frm or new.zone == "wash") and not new.reason:
            for lot in [lot for lot, _ in new.frm] or [new.lot]:
                if not all(origin.certificate for origin in origins(self.log, lot)):
                    return "missing"
        return ""

    def corrects(self, old: int, new: Rec) -> str:
        """The same for a record that replaces another."""
        before = next((rec for rec in self.log if rec.id == old), None)
        if before is None or before.kind != new.kind:
            return "none"
        if not new.reason:
            return "reason"
        if new.kind == "dispatch" and not new.disposal and not (new.slip and origins(self.log, new.lot) and all(o.certificate for o in origins(self.log, new.lot))):
            return "missing"
        return "" if weights(self.replaced(old, new)) is not None else "impossible"

    def replaced(self, old: int, new: Rec | None) -> list[Rec]:
        """The log with another record at the place and time of ``old``, or none."""
        found = []
        for rec in self.log:
            if rec.id != old:
                found.append(rec)
            elif new is not None:
                found.append(replace(new, t=rec.t))
        return found


def weights(log: list[Rec]) -> dict[str, int] | None:
    """What is left of each lot; None where somebody used what was not there, or a number twice."""
    left: dict[str, int] = {}
    for rec in log:
        takes = [(rec.lot, rec.grams)] if rec.kind == "dispatch" else list(rec.frm)
        born = rec.kind == "intake" or bool(rec.frm)
        if born and (rec.lot in left or rec.lot in [lot for lot, _ in takes]):
            return None
        if rec.kind == "lot" and not rec.frm and not left.get(rec.lot):
            return None
        total = 0
        for lot, part in takes:
            have = left.get(lot, 0)
            used = have if part is None else part
            if have == 0 or used > have:
                return None
            left[lot] = have - used
            total += used
        if born:
            left[rec.lot] = total if rec.grams is None else rec.grams
    return left


def origins(log: list[Rec], lot: str) -> list[Rec]:
    """The intakes from which a lot comes, however often it was worked on."""
    made = {rec.lot: rec for rec in log if rec.frm}
    if lot in made:
        return [rec for parent, _ in made[lot].frm for rec in origins(log, parent)]
    return [rec for rec in log if rec.kind == "intake" and rec.lot == lot]


def ancestors(log: list[Rec], lot: str) -> set[str]:
    """All lots that it was made from."""
    return {each for rec in log if rec.lot == lot for parent, _ in rec.frm for each in {parent} | ancestors(log, parent)}


def expired(log: list[Rec], lot: str) -> bool:
    """By the newest word on it; what is made from others expires with the first of them."""
    made = next((rec for rec in log if rec.lot == lot and rec.frm), None)
    if made is not None:
        return any(expired(log, parent) for parent, _ in made.frm)
    return any(rec.expired for rec in log if rec.lot == lot and rec.kind == "intake")


def places(log: list[Rec], lot: str) -> list[tuple[int, str]]:
    """Where it was from when on ("" for nowhere), in order."""
    found: list[tuple[int, str]] = [(-1, "")]
    for number, rec in enumerate(log):
        before, after = weights(log[:number]), weights(log[: number + 1])
        assert before is not None
        assert after is not None
        if rec.lot == lot and rec.kind != "dispatch":
            zone = rec.zone
            if rec.frm and not zone:
                zone = next((place for _, place in reversed(places(log[:number], rec.frm[0][0])) if place), "")
            if zone:
                found.append((rec.t, zone))
        if before.get(lot, 0) and not after[lot]:
            found.append((rec.t, ""))
    return found


def was_in(log: list[Rec], lot: str, zone: str, instant: int) -> bool:
    """Whether it was there at this instant; the instants of coming and going count."""
    steps = [*places(log, lot), (10**9, "")]
    return any(place == zone and begin <= instant <= end for (begin, place), (end, _) in pairwise(steps))
