"""评估: cause, severity, scope and what became of the product; says what a full assessment lacks, and refuses to guess any of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from edge_gateway.record.entry import MAX_INTEGER
from edge_gateway.violations.asked import StepRefused

SEVERITIES = ("minor", "major")
#: What becomes of a product; ``none``: no product was there.
DISPOSITIONS = ("kept", "re-chilled", "isolated", "destroyed", "none")
#: Causes to pick from; the reason of the step says it in words.
CAUSES = (
    "equipment", "power", "door", "defrost", "loading", "cleaning", "water-supply", "operation", "probe", "network", "other",
)  # fmt: skip
#: What must be said before a violation can be submitted.
NEEDED = ("cause", "severity", "zone", "period", "lots", "products")
_MOST_LOTS, _MOST_PRODUCTS = 200, 50
#: Characters of a zone's name.
MOST_TEXT = 300
_KG = re.compile(r"^\d{1,7}(\.\d{1,3})?\Z")


def severest(*severities: str | None) -> str:
    """The gravest of these; "" when none is known."""
    known = [each for each in severities if each in SEVERITIES]
    return max(known, key=SEVERITIES.index, default="")


def merged(before: Mapping[str, Any], told: Mapping[str, Any], least: str) -> dict[str, Any]:
    """``before`` with what is told now. ``least``: a severity that it cannot fall below. Raises StepRefused."""
    found = dict(before)
    for key, check in _CHECKS.items():
        if told.get(key) is not None:
            found[key] = check(told[key])
    if unknown := sorted(told.keys() - _CHECKS.keys()):
        raise StepRefused(f"an assessment has no '{unknown[0]}'", hint=f"known: {', '.join(NEEDED)}")
    if told.get("severity") is not None and severest(found["severity"], least) != found["severity"]:
        why = f"the severity cannot be less than '{least}', which its rule says"
        raise StepRefused(why, hint="a second person can withdraw what is no violation")
    if "severity" in found:  # it may have become graver since
        found["severity"] = severest(found["severity"], least)
    return found


def missing(assessment: Mapping[str, Any]) -> list[str]:
    """What a full assessment still lacks."""
    return [key for key in NEEDED if key not in assessment]


def _choice(name: str, permitted: tuple[str, ...]) -> Any:
    def check(value: Any) -> str:
        if value not in permitted:
            raise StepRefused(f"'{value}' is no {name}", hint=f"one of: {', '.join(permitted)}")
        return str(value)

    return check


def _zone(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_TEXT:
        raise StepRefused("the zone is no short text", hint="--zone ID")
    return value


def _period(value: Any) -> dict[str, int]:
    try:
        since_us, until_us = int(value["from_us"]), int(value["to_us"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise StepRefused("the period needs a beginning and an end", hint="--from TIME --to TIME") from None
    if not 0 <= since_us <= until_us <= MAX_INTEGER:
        raise StepRefused("the period ends before it begins, or is no time", hint="--from TIME --to TIME")
    return {"from_us": since_us, "to_us": until_us}


def _lots(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > _MOST_LOTS or not all(_short(lot) for lot in value):
        raise StepRefused(f"the lots are no list of at most {_MOST_LOTS} short names", hint="--lot ID, or --no-lots")
    return sorted(set(value))


def _products(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MOST_PRODUCTS:
        raise StepRefused("what became of the product is not said", hint="--product kept:120 (kg), or --product none")
    return [_product(each) for each in value]


def _product(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or value.get("what") not in DISPOSITIONS:
        raise StepRefused("a product is what became of it, and kg", hint=f"what: {', '.join(DISPOSITIONS)}")
    what, kg = str(value["what"]), str(value.get("kg", "0" if value["what"] == "none" else ""))
    if not _KG.match(kg) or (what == "none") != (_number(kg) == 0):
        raise StepRefused(f"'{kg}' is no weight in kg of what was {what}", hint="--product isolated:120.5, or --product none")
    found = {"what": what, "kg": kg}
    if value.get("lot"):
        found |= {"lot": _lots([value["lot"]])[0]}
    return found


def _number(kg: str) -> Decimal:
    try:
        return Decimal(kg)
    except InvalidOperation:
        return Decimal(-1)


def _short(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= 64


_CHECKS = {
    "cause": _choice("cause", CAUSES),
    "severity": _choice("severity", SEVERITIES),
    "zone": _zone,
    "period": _period,
    "lots": _lots,
    "products": _products,
}
