"""What a calibration found of a probe widens the guard band of its rules; pure, knows no certificate and judges no reading."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from edge_gateway.rules.base import BoundRule

#: Stands in the terms of a rule whose decision rule is a guard band, also while nobody knows its probe's uncertainty.
GUARD, BAND = "guard", "uncertainty"


def guarded(rule: BoundRule, uncertainty: float | None) -> BoundRule:
    """The rule as it judges while its probe is known to be no better than ``uncertainty`` (in the rule's unit; None: nothing is known).

    The larger of the site's figure and this one counts: a probe is known no better than what it was compared with.
    """
    if GUARD not in rule.terms or uncertainty is None or not uncertainty > float(rule.terms.get(BAND, "0")):
        return rule
    return replace(rule, terms={**rule.terms, BAND: format(Decimal(repr(uncertainty)).normalize(), "f")})
