"""A gateway's rule packs as its configuration and entries tell them: edition, draft, shadow or enforced, and who changed that; pure, judges nothing.

What is in an entry comes from outside: each value is taken as what it should be, or left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulator_hub.outside import is_whole, text

#: Changes of packs' states remembered of one gateway, the newest; packs of a configuration; characters of a text.
MAX_CHANGES, MAX_PACKS, MAX_TEXT = 50, 64, 300
CHANGED, KEPT = "pack-state-changed", "packs-kept-enforced"
_ABOUT = ("version", "edition", "state", "name_zh", "name_en")
_TEXTS = ("pack", "old", "new", "by", "second", "how", "why", "user")


def in_use(resolved: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Packs by id out of a resolved configuration: ``version``, ``edition``, ``state``, names, how many ``rules`` judge and how many are ``not_monitored``.

    Configurations of earlier releases say of a pack only what its rules say: one that judges nothing is not there.
    """
    found: dict[str, dict[str, Any]] = {}
    packs = resolved.get("packs")
    for id_, about in packs.items() if isinstance(packs, Mapping) else ():
        if isinstance(about, Mapping):
            row = _row(found, str(id_))
            row |= {key: text(about[key], MAX_TEXT) for key in _ABOUT if about.get(key)}
            row["not_monitored"] = count if is_whole(count := about.get("not_monitored")) else 0
    for rule in resolved.get("rules") or ():
        if isinstance(rule, Mapping) and isinstance(rule.get("pack"), str):
            row = _row(found, rule["pack"])
            row |= {"version": text(rule.get("pack_version", ""), MAX_TEXT), "edition": text(rule.get("edition", ""), MAX_TEXT)}
            row["state"] = text(rule.get("state") or "enforced", MAX_TEXT)
            row["rules"] += 1
    return dict(sorted(found.items())[:MAX_PACKS])


def _row(found: dict[str, dict[str, Any]], pack: str) -> dict[str, Any]:
    return found.setdefault(text(pack, 64), {"version": "", "edition": "", "state": "", "rules": 0, "not_monitored": 0})


def changed(known: list[dict[str, Any]], at: tuple[str, int], content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Changes with that of an event, in the order in which they came; one that comes again is the same. Raises ValueError."""
    if not is_whole(content.get("wall_us")):
        raise ValueError("'wall_us' is no whole number")
    found: dict[str, Any] = {key: text(content[key], MAX_TEXT) for key in _TEXTS if content.get(key)}
    if isinstance(content.get("packs"), list):  # at a start: files alone took no pack back
        found["pack"] = ", ".join(str(each)[:64] for each in content["packs"][:MAX_PACKS])
    found |= {"event": text(content.get("event"), 64), "wall_us": content["wall_us"], "epoch": at[0], "seq": at[1]}
    others = [each for each in known if (each["epoch"], each["seq"]) != at]
    return [*others, found][-MAX_CHANGES:]
