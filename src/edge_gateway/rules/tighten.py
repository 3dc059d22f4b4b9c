"""A site's own numbers for a rule: a verified limit may only be tightened, an unverified one is the operator's; pure.

What is tighter is told for each key by ``TIGHTER``; a rule's ``bounds`` hold for every value.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edge_gateway.rules.model_kinds import Excuse, LimitRule, Rule, StaleRule

_LESS, _MORE = -1, 1
#: Key -> which way is tighter. Delays and amounts: less; how long it must be well before it is over: more.
TIGHTER: Mapping[str, int] = {
    "high": _LESS, "low": _MORE, "notice_after_s": _LESS, "violation_after_s": _LESS, "clear_after_s": _MORE, "unknown_after_s": _LESS,
    "undecided_after_s": _LESS, "most": _LESS, "most_minutes": _LESS, "most_degree_minutes": _LESS, "per_s": _LESS, "within_s": _LESS,
    "rise": _LESS, "after_s": _LESS, "factor": _LESS, "excuse_most_s": _LESS,
}  # fmt: skip
_RULE: TypeAdapter[Any] = TypeAdapter(Rule)


class NotTightened(ValueError):
    """A value that a site may not give. ``key`` is which, the message why."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


def overridden(rule: Any, site: Mapping[str, Any]) -> Any:
    """The rule with a site's numbers. Raises NotTightened."""
    body, told = rule.model_dump(exclude_none=True), []
    for key, value in site.items():
        if value is None:
            continue
        before = _before(rule, key)
        _permitted(rule, key, before, value)
        told.append(f"{key} {_shown(before)} -> {_shown(value)}")
        _put(body, rule, key, value)
    if not told:
        return rule
    kind = "tightened by the site" if rule.basis.verified != "no" else "operator's value of this site, unverified"
    body["basis"] = {**body["basis"], "source": f"{rule.basis.source}; {kind}: {', '.join(told)}"}
    if rule.basis.source_zh:
        kind_zh = "本站点收紧" if rule.basis.verified != "no" else "本站点运营方数值，未核实"
        body["basis"]["source_zh"] = f"{rule.basis.source_zh}；{kind_zh}：{', '.join(told)}"
    try:
        return _RULE.validate_python(body)
    except ValidationError as error:
        why = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
        raise NotTightened(_blamed(rule, site), why) from error


def _blamed(rule: Any, site: Mapping[str, Any]) -> str:
    """Which of several values makes the rule one that cannot be: the first that does so alone, else the last."""
    given = [key for key, value in site.items() if value is not None]
    for key in given[:-1] if len(given) > 1 else ():
        try:
            overridden(rule, {key: site[key]})
        except NotTightened:
            return key
    return given[-1]


def _before(rule: Any, key: str) -> Any:
    """The pack's own value. Raises NotTightened where the rule has no such number."""
    if key in ("excuse_most_s", "excuse_peak"):
        excuse = getattr(rule, "excuse", None)
        if not isinstance(excuse, Excuse):
            raise NotTightened(key, f"rule '{rule.id}' has no excuse")
        return excuse.most_s if key == "excuse_most_s" else excuse.peak
    if key not in type(rule).model_fields:
        raise NotTightened(key, f"a rule of kind '{rule.kind}' has no {key}")
    return getattr(rule, key)


def _permitted(rule: Any, key: str, before: Any, value: Any) -> None:
    if rule.basis.verified != "no" and not _tightens(rule, key, before, value):
        raise NotTightened(key, f"{key} {_shown(value)} is looser than the verified {_shown(before)}: it may only be tightened")
    if key in rule.bounds:
        low, high = rule.bounds[key]
        if not Decimal(low) <= Decimal(str(value)) <= Decimal(high):
            raise NotTightened(key, f"the pack's bounds for {key} are {low} to {high}")


def _tightens(rule: Any, key: str, before: Any, value: Any) -> bool:
    if key == "armed_in":
        return not value or bool(before and set(before) <= set(value))
    if key == "season":
        return not value or tuple(value) == tuple(before)
    if key == "guard":
        return not value or bool(before)
    return _is_tighter(rule, key, before, value)


def _is_tighter(rule: Any, key: str, before: Any, value: Any) -> bool:
    if before is None:  # there was no such limit, or no violation at all; a silence is the longer of its two times
        return not isinstance(rule, StaleRule) or key not in ("after_s", "factor")
    way = TIGHTER.get(key) or (_LESS if isinstance(rule, LimitRule) and rule.high is not None else _MORE)
    return (Decimal(str(value)) - Decimal(str(before))) * way >= 0


def _put(body: dict[str, Any], rule: Any, key: str, value: Any) -> None:
    """Into the rule's table; hysteresis keeps its width, and a rule that gets a violation gives more than notices."""
    if key in ("excuse_most_s", "excuse_peak"):
        body["excuse"][key.removeprefix("excuse_")] = value
        return
    if key == "violation_after_s":
        body["notices_only"] = False
    if key in ("low", "high") and body.get("clear_at") is not None and getattr(rule, key) is not None:
        shift, clear = Decimal(str(value)) - Decimal(getattr(rule, key)), body["clear_at"]
        if isinstance(clear, tuple | list):
            at = 0 if key == "low" else 1
            body["clear_at"] = tuple(str(Decimal(each) + shift) if n == at else each for n, each in enumerate(clear))
        else:
            body["clear_at"] = str(Decimal(clear) + shift)
    elif key in ("low", "high") and isinstance(body.get("clear_at"), str):  # a second limit, itself without hysteresis
        body["clear_at"] = (value, body["clear_at"]) if key == "low" else (body["clear_at"], value)
    body[key] = value


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "none"
    return f"{value:g}" if isinstance(value, float) else ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
