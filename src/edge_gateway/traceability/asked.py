"""What packs and configuration require of records, and whether the lots that are here have it; pure: reads a ledger, changes none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_gateway.traceability.ledger import LotLedger, Requires
from edge_gateway.traceability.lots import lacking
from edge_gateway.traceability.model import REQUIRABLE, Lot, civil_day, days_left

#: What records say of something: it is in order, it is not, or there is nothing of which they could say it.
FULL, LACKING, NOTHING = "full", "lacking", "nothing"
#: Evidence of one finding, what is lacking first.
MOST_EVIDENCE = 40
Found = tuple[str, list[dict[str, Any]]]


def required(records: Mapping[str, Any], today: str) -> Requires:
    """``records`` of a resolved configuration: what its packs require on that day, and the site besides. Nothing takes anything away."""
    in_force = [each for each in records.get("required", ()) if _holds(each, today)]

    def all_(before: str) -> tuple[str, ...]:
        wanted = {*records.get(f"{before}_requires", ()), *(what for each in in_force if each["before"] == before for what in each["of"])}
        return tuple(what for what in REQUIRABLE if what in wanted)

    return Requires(all_("start"), all_("dispatch"))


def _holds(requirement: Mapping[str, Any], today: str) -> bool:
    begins, ends = str(requirement.get("effective_from") or "unknown"), requirement.get("effective_to") or "unknown"
    return (begins == "unknown" or begins <= today) and (ends == "unknown" or today <= ends)


def finding(check: str, ledger: LotLedger, requires: Requires, today: str, timezone: str) -> Found:
    """One of ``CHECKS``: what the records in force say, with the lots or documents that say so."""
    return CHECKS[check](ledger, requires, today, timezone)


def _intakes(ledger: LotLedger, requires: Requires, today: str, timezone: str) -> Found:
    came = [lot for lot in ledger.lots.values() if not lot.parents and civil_day(timezone, lot.began_us) == today]
    return _lots(ledger, came, requires)


def _here(ledger: LotLedger, requires: Requires, _today: str, _timezone: str) -> Found:
    return _lots(ledger, [lot for lot in ledger.lots.values() if not lot.over], requires)


def _lots(ledger: LotLedger, lots: Sequence[Lot], requires: Requires) -> Found:
    return _found([({"lot": lot.id, "records": lot.records[:1]}, lacking(ledger.lots, lot.id, requires.start)) for lot in lots])


def _unexpired(ledger: LotLedger, _requires: Requires, today: str, _timezone: str) -> Found:
    dated = [({"lot": lot.id, "expires": lot.expires}, _over(lot.expires, today)) for lot in ledger.lots.values() if lot.expires and not lot.over]
    dated += [({"record": r["record"], "document": r["document"], "expires": r["expires"]}, _over(r["expires"], today)) for r in ledger.records() if r["type"] == "document" and r.get("expires")]
    return _found(dated)


def _over(expires: str, today: str) -> list[str]:
    left = days_left(expires, today)
    return ["unexpired"] if left is not None and left < 0 else []


def _found(told: Sequence[tuple[dict[str, Any], list[str]]]) -> Found:
    evidence = [about | {"lacking": missing} for about, missing in sorted(told, key=lambda each: not each[1])]
    state = NOTHING if not told else LACKING if any(missing for _, missing in told) else FULL
    return state, evidence[:MOST_EVIDENCE]


#: What an item of a phase may ask of the records: today's intakes, all lots that are here, what has an expiry date.
CHECKS: Mapping[str, Callable[[LotLedger, Requires, str, str], Found]] = {"intakes": _intakes, "lots": _here, "unexpired": _unexpired}
