"""Which rules are not armed on a day, and why: their pack's state, their basis' dates, their season; pure, the day is an argument.

Marks and phases are not known here: they disarm for a time of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.standing import DRAFT, EDITION, SEASON, SHADOW

#: Every reason that is told here, in the order in which it is told.
REASONS = (DRAFT, SHADOW, EDITION, SEASON)


def unarmed(rules: Iterable[BoundRule], day: str | None) -> dict[str, dict[tuple[str, str], str]]:
    """For each reason the rules that are not armed because of it: (rule, point) -> what says so.

    ``day`` is the civil day (Beijing time) as ``2026-11-28``; None while nobody ever vouched for one: then no date and no
    season disarms anything, since a gateway without its clock must not fall silent.
    """
    found: dict[str, dict[tuple[str, str], str]] = {why: {} for why in REASONS}
    for rule in rules:
        key = rule.id, rule.point
        if rule.state in (DRAFT, SHADOW):
            found[rule.state][key] = rule.pack
        if day is None:
            continue
        if (ref := out_of_edition(rule, day)) is not None:
            found[EDITION][key] = ref
        if rule.season and not any(_within(part, day[5:]) for part in rule.season):
            found[SEASON][key] = " ".join(rule.season)
    return found


def out_of_edition(rule: BoundRule, day: str) -> str | None:
    """What says that a rule's basis is not in force on a day; None: it is, or nobody knows from when to when."""
    begins, ends = rule.effective_from, rule.effective_to
    if _known(begins) and day < begins:
        return f"{rule.standard} from {begins}"
    if _known(ends) and day > ends:
        return f"{rule.standard} to {ends}"
    return None


def disarmed(picture: Mapping[str, Mapping[tuple[str, str], str]]) -> dict[str, list[str]]:
    """The rules of a picture by reason, each once, in order: what an entry says of it."""
    return {why: sorted({rule for rule, _ in refs}) for why, refs in picture.items() if refs}


def _known(date: str) -> bool:
    return date not in ("", "unknown")


def _within(part: str, day: str) -> bool:
    begins, _, ends = part.partition("/")
    return begins <= day <= ends if begins <= ends else not ends < day < begins
