"""What the page says of points and open violations, in one language: rows of finished words and places; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_gateway.page.bar import Bar, bar
from edge_gateway.page.view import ORDER, Rules, is_violation
from edge_gateway.page.words import MINUS, Words
from edge_gateway.reading import GOOD
from edge_gateway.units import symbol
from edge_gateway.web.rule_words import limit_words

#: Of what a violation holds so many are listed; ``violations show`` has all.
MOST_HELD = 60
#: What the browser may be told without the row being drawn anew.
Moving = tuple[str, float | None, int | None]


def row(about: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """A point's row: everything the template puts, nothing left to decide there."""
    old = about["value"] is None or about["stale"]
    value = about["last_value"] if about["value"] is None else about["value"]
    seen_us = about["last_observed_us"] if about["value"] is None else about["observed_us"]
    known = value is not None
    return {
        "id": about["point"],
        "state": about["state"],
        "rank": f"{ORDER.index(about['state'])}:{about['point']}",
        "pulse": about["state"] == "violation" and about.get("handling") == "new",
        "name": words.name(about) or about["point"],
        "zone": words.name(about, "zone"),
        "number": words.number(value, about["decimals"]) if known else words.t["value.none"],
        "unit": _unit(about, value, words),
        "known": known,
        "old": old,
        "limits": _limits(about, words),
        "bar": _bar(about, value, words),
        "interval_us": round(about["interval_s"] * 1e6),
        "observed_us": seen_us,
        "age": None if seen_us is None else words.tick("tick.last" if about["value"] is None else "tick.age", seen_us),
        "quality": words.quality(GOOD) if about["quality"] == GOOD and not old else "",
        "why": _why(about, words),
        "since": _since(about, words),
    }


def moving(shown: Mapping[str, Any]) -> Moving:
    """The part of a row that changes with every reading: number, marker, time of observation."""
    marker = shown["bar"]["marker"] if shown["bar"] else None
    return (shown["number"], marker, shown["observed_us"])


def standing(shown: Mapping[str, Any]) -> Any:
    """The rest of a row made with ``mute`` words, comparable: while it stays, the row need not be sent again."""
    at_rest = dict(shown)
    for key in ("number", "observed_us", "age", "bar"):
        at_rest.pop(key)
    geometry = shown["bar"] and {key: value for key, value in shown["bar"].items() if key != "marker"}
    marked = shown["bar"] is not None and shown["bar"]["marker"] is not None
    return (at_rest, geometry, marked, shown["age"] and shown["age"]["key"])


def _unit(about: Mapping[str, Any], value: float | None, words: Words) -> str:
    """The unit; for a contact what its 0 or 1 says. Whether that is an open or a closed door, the wiring decides."""
    if value is None:
        return ""
    if about["quantity"] == "contact" and value in (0, 1):
        return words.t[f"contact.{value:.0f}"]
    return str(about["unit_shown"])


def _limits(about: Mapping[str, Any], words: Words) -> list[dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for limit in about["limits"]:
        text = words.limit(limit, about["unit_shown"])
        title = " · ".join(
            part for part in (words.name(limit, "title"), words.basis(limit, str(limit.get("basis") or ""))) if part
        )
        found.setdefault(text, {"text": text, "tag": words.unverified(limit.get("verified")), "title": title})
    return list(found.values())


def _bar(about: Mapping[str, Any], value: float | None, words: Words) -> dict[str, Any] | None:
    limits = [(limit.get("low"), limit.get("high")) for limit in about["limits"]]
    found = bar(value, limits, about["quantity"])
    if found is None:
        return None
    ends = {"low": _end(found, found.low), "high": _end(found, found.high)}
    band = " / ".join(words.limit(limit, about["unit_shown"]) for limit in about["limits"])
    places = {key: getattr(found, key) for key in ("band_from", "band_to", "marker", "off")}
    return places | ends | {"label": words.say("bar.label", band=band, **ends)}


def _end(found: Bar, end: Any) -> str:
    """A scale's end, as coarse as the scale allows."""
    width = float(found.high - found.low)
    return f"{float(end):.{0 if width >= 5 else 1 if width >= 0.5 else 2}f}".replace("-", MINUS)


def _why(about: Mapping[str, Any], words: Words) -> str:
    """Why a value is missing or doubtful, or judges nothing; "" for a good and fresh one."""
    if about["observed_us"] is None and not about["gap"]:
        return words.t["row.never"]
    parts = [words.quality(about["quality"])] if about["quality"] != GOOD and about["observed_us"] is not None else []
    parts += [words.t["stale"]] if about["stale"] and about["value"] is not None else []
    parts += [words.t.get(f"gap.{about['gap']}", about["gap"])] if about["gap"] else []
    parts += [words.say("row.correction", offset=f"{off['offset']:+g}".replace("-", "\u2212"), until=words.when(off["until_wall_us"]))] if (off := about.get("correction")) else []
    parts += [words.say("row.overdue" if due["overdue"] else "row.due", date=due["due"])] if (due := about.get("calibration")) else []
    parts += [words.say("row.mark", type=words.t[f"mark.{mark['type']}"], until=words.when(mark["until_wall_us"]))] if (mark := about.get("mark")) else []
    if about.get("condition") == "unknown":  # a silent probe, or a rule that a mark or the phase keeps from judging
        parts.append(words.t["row.unknown" if about["value"] is None or about["stale"] else "row.unjudged"])
    return " · ".join(parts)


def _since(about: Mapping[str, Any], words: Words) -> dict[str, Any] | None:
    """Since when it is abnormal, and how long until it becomes worse."""
    if about["since_us"] is None:
        return None
    if about["state"] == "no-data":
        return words.tick("tick.no-data", about["since_us"])
    key = f"tick.{about['next']}" if about["next"] else "tick.since"
    if about["state"] == "beyond" and about["next"] == "violation":
        key = "tick.violation"
    return words.tick(key, about["since_us"], about["wait_s"] or 0.0)


def violations(
    found: Sequence[Mapping[str, Any]], rules: Rules, points: Mapping[str, Any], words: Words, held: Callable[[str], Sequence[Mapping[str, Any]]] = lambda _: ()
) -> list[dict[str, Any]]:
    """The open violations (notices stand in their points' rows): active ones first, of these what is overdue, then the newest."""
    order = {"active": 0, "unknown": 1, "recovered": 2}
    broken = sorted(
        (each for each in found if is_violation(each)),
        key=lambda each: (order.get(each["condition"], 1), not each.get("overdue"), -int(each["first"]["wall_us"])),
    )
    return [
        _violation(each, rules.get(each["point"], {}).get(each["rule"], {}), points.get(each["point"], {}), words)
        | _held(held(each["violation"]) if each.get("holds") else (), rules, points, words)
        for each in broken
    ]


def _held(found: Sequence[Mapping[str, Any]], rules: Rules, points: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """What goes on as part of it, a line each."""
    lines = []
    for each in found[:MOST_HELD]:
        rule, point = rules.get(each["point"], {}).get(each["rule"], {}), points.get(each["point"], {})
        parts = [words.name(point) or each["point"], words.name(rule, "title") or each["rule"], words.t[f"condition.{each['condition']}"]]
        parts += [words.say("violation.since", time=words.when(int(each["first"]["wall_us"])))]
        lines.append(" · ".join(parts + ([words.say("violation.minutes", n=each["minutes"])] if each["condition"] == "recovered" else [])))
    more = len(found) - len(lines)
    summary = words.say("violation.holds", n=len(found)) if found else ""
    return {"held": lines + ([words.say("violation.more", n=more)] if more else []), "holds": summary}


def _violation(
    each: Mapping[str, Any], rule: Mapping[str, Any], point: Mapping[str, Any], words: Words
) -> dict[str, Any]:
    unit = symbol(str(point.get("unit", "")))
    if rule.get("kind", "limit") != "limit":
        unit = ""  # a rate's or a silence's figure is no value of the point
    decimals = point.get("decimals", 1)

    def value(number: Any) -> str:
        return words.quantity(number, decimals, unit)

    facts = []
    if each["first"].get("value") is not None:
        facts.append(words.say("violation.first", value=value(each["first"]["value"])))
    if each.get("peak") is not None:
        facts.append(words.say("peak", value=value(each["peak"])))
    if each.get("minutes"):
        facts.append(words.say("violation.minutes", n=each["minutes"]))
    if int(each.get("episode") or 1) > 1:
        facts.append(words.say("violation.episode", n=each["episode"]))
    facts += _handled(each, words)
    return {
        "id": each["violation"],
        "condition": each["condition"],
        "handling": each["handling"],
        "over": each["condition"] == "recovered",
        "title": each.get("title") or words.name(rule, "title") or each["rule"],
        "name": words.name(point) or each["point"] or (each.get("scope") or {}).get("zone", ""),
        "limit": _limit(each, rule, point, words),
        "tag": words.unverified(each.get("verified")),
        "since": words.tick("tick.since", int(each["first"]["wall_us"])),
        "severity": each.get("severity") or "",
        "facts": facts,
        "by": _by(each, words),
        "waits": words.t["violation.verify" if each["handling"] == "submitted" else "violation.close"],
        "deadlines": [
            words.say(f"deadline.{what}", time=words.when(int(us)))
            for what, us in (each.get("due") or {}).items()
            if us is not None and what not in (each.get("overdue") or ())
        ],
        "overdue": [
            words.tick(f"tick.overdue-{what}", int(us)) for what, us in (each.get("due") or {}).items() if what in (each.get("overdue") or ())
        ],
        "basis": words.basis(rule, str(each.get("basis") or "")),
        "do": list(rule.get(f"do_{words.language}", ())),
    }


def _handled(each: Mapping[str, Any], words: Words) -> list[str]:
    """What became of it besides its state: returned, its withdrawal asked for, what it goes on from, what it holds."""
    facts = [words.say("violation.returned", n=each["returns"])] if each.get("returns") else []
    if asked := each.get("withdrawal"):
        facts.append(words.say("violation.withdrawal", by=asked["by"]))
    if follows := each.get("follows"):
        facts.append(words.say(f"violation.follows-{follows['how']}", id=follows["violation"]))
    return facts


def _by(each: Mapping[str, Any], words: Words) -> str:
    """Who took the newest step of a person, whether they proved it, and why."""
    if not each.get("by"):
        return ""
    log = each.get("log") or [{}]
    proof = words.t.get(f"proof.{log[-1].get('proof', '')}", "")
    return words.say("violation.by", by=f"{each['by']}{proof}", reason=each.get("reason", ""))


def _limit(each: Mapping[str, Any], rule: Mapping[str, Any], point: Mapping[str, Any], words: Words) -> str:
    """Two numbers, where its rule has them; of the other kinds, and of a rule that is no longer bound, the text that the entry has."""
    if rule.get("kind", "limit") == "limit" and (numbers := words.limit(rule, symbol(str(point.get("unit", ""))))):
        return numbers
    text = limit_words(str(each.get("limit") or rule.get("limit") or ""), words.language)
    return re.sub(r"(?<![\w.])-(?=\d)", MINUS, text)
