"""Short ways to bring a violation into a state, for the tests beside this file."""

from __future__ import annotations

from typing import Any

from edge_gateway.rules.base import BoundRule, First, Step
from edge_gateway.violations import CLAIMED, HUB, SECRET, Ask, Moment, Violations, Who

RULE = BoundRule(
    id="r1", pack="t", pack_version="1.0.0", edition="2026-11", kind="limit", point="p1", high="-18", limit="≤ -18 Cel",
    severity="major", standard="GB 1", clause="unknown", basis_edition="2019", verified="no",
)  # fmt: skip
MINOR = BoundRule(**{**{k: getattr(RULE, k) for k in RULE.__dataclass_fields__}, "severity": "minor"})
ID = "tlf-007-1"
WANG, LI, HUB_KEY = Who("wang", CLAIMED, "pi"), Who("li", SECRET, "pi"), Who("hub.example", HUB)
ZHANG = Who("zhang", SECRET)
FULL: dict[str, Any] = {
    "cause": "door", "severity": "major", "zone": "cold2", "period": {"from_us": 1, "to_us": 2}, "lots": [],
    "products": [{"what": "isolated", "kg": "120.5"}],
}  # fmt: skip
HOUR = 3_600_000_000


def at(second: float = 10, *, trusted: bool = True, seq: int = 7) -> Moment:
    us = int(second * 1_000_000)
    return Moment(rule_us=us, wall_us=us, trusted=trusted, epoch="e1", seq=seq)


def step(name: str, second: float = 10, *, point: str = "p1", value: float | None = -15.0, rule: str = "r1") -> Step:
    us = int(second * 1_000_000)
    first = First(rule_us=1, wall_us=2, value=-17.0)
    return Step(
        rule=rule, point=point, step=name, rule_us=us, wall_us=us, first=first, value=value, peak=-15.0, beyond_us=us, excess=3.0
    )


def opened(*names: str, rule: BoundRule = RULE) -> Violations:
    """A book in which a rule took these steps."""
    violations = Violations("tlf-007")
    for name in names:
        violations.apply(step(name), rule, at())
    return violations


def do(violations: Violations, what: str, who: Who = WANG, id_: str = ID, /, *, when: Moment | None = None, **detail: Any) -> dict[str, Any]:
    return violations.take(Ask(what, id_, who, "because", detail), when or at())[0]


def handled(handling: str, condition: str = "recovered", rule: BoundRule = RULE) -> Violations:
    """A book whose violation is in this state, brought there by the steps that lead there."""
    if handling == "merged":
        violations = opened("violated", rule=rule)
        violations.apply(step("violated", point="cause"), rule, at())
        violations.hold([ID], "tlf-007-2", at())
    else:
        # a violation that is submitted cannot become active without going back; so it is submitted last
        violations = opened("violated", rule=rule)
        if handling != "new":
            do(violations, "ack")
        if handling in ("correcting", "submitted", "closed"):
            do(violations, "correct", **FULL | {"severity": rule.severity})
        if handling in ("submitted", "closed"):
            violations.apply(step("recovered"), rule, at())
            do(violations, "submit")
        if handling == "closed":
            do(violations, "close", LI)
        if handling == "withdrawn":
            do(violations, "ask-withdrawal")
            do(violations, "withdraw", LI)
    if handling not in ("closed", "withdrawn") and condition != "active" and violations.records()[0]["condition"] != condition:
        violations.apply(step(condition), rule, at())
    return violations


def state(violations: Violations) -> list[tuple[str, str, str, str]]:
    return [(v["violation"], v["level"], v["condition"], v["handling"]) for v in violations.open()]
