"""What page and API show of views: one row a point, open violations, one line a gateway; pure, time is passed in.

The rows have the gateway page's keys, and besides ``gateway``, names of site and zone, and ``in_order``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edge_gateway.reading import FRESH_INTERVALS
from edge_gateway.rules.base import STALE
from regulator_hub import handling
from regulator_hub.meaning import Meaning
from regulator_hub.named import shown
from regulator_hub.view import View

#: Of what a violation holds so many are listed.
MAX_HELD = 200
#: Order of states: abnormal first.
ORDER = ("violation", "notice", "no-data", "normal")


def points(view: View, now_us: int, only: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """One row a point of the newest configuration (without its text: of what is known), abnormal first."""
    meaning = view.current()
    known = dict(meaning.points) if meaning else {point: {} for point in view.state["latest"]}
    steps = _gravest(view)
    wanted = known if only is None else [point for point in only if point in known]
    found = [_row(view, point, known[point], steps.get(point), now_us) for point in wanted]
    return sorted(found, key=lambda row: (ORDER.index(row["state"]), row["point"]))


def _row(view: View, point: str, about: Any, step: dict[str, Any] | None, now_us: int) -> dict[str, Any]:
    meaning = view.current()
    latest = view.state["latest"].get(point) or {}
    interval_us = meaning.intervals_us.get(point, 0) if meaning else 0
    observed_us = latest.get("observed_us")
    age_us = None if observed_us is None else max(0, now_us - observed_us)
    stale = age_us is None or (interval_us > 0 and age_us > FRESH_INTERVALS * interval_us)
    row = {
        "gateway": view.gateway,
        "point": point,
        "name_zh": point,
        "name_en": point,
        "zone": "",
        "zone_zh": "",
        "zone_en": "",
        "quantity": "",
        "unit": "",
        "unit_shown": "",
        "decimals": 1,
        **about,
        "value": latest.get("value"),
        "quality": latest.get("quality", "bad:no-data"),
        "observed_us": observed_us,
        "age_s": None if age_us is None else round(age_us / 1e6, 1),
        "stale": stale,
        "interval_s": interval_us / 1e6,
        "limits": meaning.limits.get(point, []) if meaning else [],
        "epoch": latest.get("epoch"),
        "seq": latest.get("seq"),
        "in_order": bool(latest) and latest["seq"] < view.state["cursors"].get(latest["epoch"], 0),
    }
    return row | _state(row, step)


def _state(row: dict[str, Any], step: dict[str, Any] | None) -> dict[str, Any]:
    if step is not None:
        state = "violation" if step["violated"] else "notice"
        return {"state": state, "since_us": (step.get("first") or {}).get("wall_us"), "violation": step["violation"]}
    if row["value"] is None or row["stale"]:
        return {"state": "no-data", "since_us": row["observed_us"], "violation": None}
    return {"state": "normal", "since_us": None, "violation": None}


def _gravest(view: View) -> dict[str, dict[str, Any]]:
    """The gravest violation or notice that stands at each point now; but a power cut or a dark bus hides its points' silence."""
    found: dict[str, dict[str, Any]] = {}
    meaning = view.current()
    for step in view.state["violations"].values():
        if step["ended"] or step["condition"] == "recovered":
            continue
        if step.get("into") and _named(meaning, step)[1].get("kind") == STALE:
            continue
        point = str(step["point"])
        if point not in found or step["violated"]:
            found[point] = step
    return found


def violations(view: View, *, ended: bool, now_us: int = 0) -> list[dict[str, Any]]:
    """Open violations and notices (with ``ended`` those that ended too): overdue first, violated first, newest first.

    What goes on as part of its cause is hidden by it. ``overdue``: deadlines that passed by this clock.
    """
    meaning = view.current()
    found = []
    for row, step in view.state["violations"].items():
        if (step["ended"] or step.get("into")) and not ended:
            continue
        about, rule = _named(meaning, step)
        in_order = step["seq"] < view.state["cursors"].get(step["epoch"], 0)
        # A view that an earlier release kept knows no steps.
        found.append({"gateway": view.gateway, "steps": [], **about, **rule, **step, "row": row, "shown": shown(view.state["violations"], row), "in_order": in_order, "overdue": handling.overdue(step, now_us), "held": _held(view, step)})
    return sorted(found, key=lambda v: (v["ended"], not v["overdue"], not v["violated"], -int(v["step_us"])))


def _named(meaning: Meaning | None, step: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What the newest configuration says of a violation's point and rule."""
    point = str(step["point"])
    about = (meaning.points.get(point) if meaning else None) or {"name_zh": point, "name_en": point}
    return about, (meaning.rules.get(f"{step['rule']} {point}") if meaning else None) or {}


def _held(view: View, step: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What goes on as part of it now, in short."""
    if not step.get("holds"):
        return []
    found = []
    for _, each in handling.below(view.state["violations"], str(step["violation"]))[:MAX_HELD]:
        about, rule = _named(view.current(), each)
        names = {key: about.get(key) for key in ("name_zh", "name_en")} | {key: rule.get(key) for key in ("title_zh", "title_en")}
        told = {key: each.get(key) for key in ("violation", "rule", "point", "into", "condition", "severity", "first", "minutes")}
        found.append(names | told)
    return found


def site(view: View) -> dict[str, Any]:
    """Names of the gateway's site; its id where nothing is known."""
    about = meaning.site if (meaning := view.current()) else {}
    return {
        "site_zh": about.get("name_zh") or view.gateway,
        "site_en": about.get("name_en") or view.gateway,
        "timezone": about.get("timezone") or "Asia/Shanghai",
    }
