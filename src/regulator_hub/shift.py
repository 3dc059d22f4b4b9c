"""Marks, phases and calibrations as a gateway's entries tell them, for whoever looks from the hub; pure: judges nothing, ends nothing.

What is in an entry comes from outside: each value is taken as what it should be, or left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulator_hub.outside import is_whole, text

#: Marks remembered of one gateway, the newest; steps of phases; characters of a text; names in a list.
MAX_MARKS, MAX_STEPS, MAX_TEXT, MAX_NAMES = 200, 30, 300, 64
_MARK_TEXTS = ("mark", "step", "type", "by", "reason")
_MARK_NUMBERS = ("from_wall_us", "until_wall_us", "extended", "fired")


def marked(known: dict[str, Any], at: tuple[str, int], content: Mapping[str, Any]) -> None:
    """A ``mark`` entry: the newest step of each mark, in ``known`` by its id. Raises ValueError."""
    name = content.get("mark")
    if not isinstance(name, str) or content.get("step") not in ("started", "extended", "ended"):
        raise ValueError("no step of a mark")
    found: dict[str, Any] = {key: text(content[key], MAX_TEXT) for key in _MARK_TEXTS if content.get(key)}
    found |= {key: content[key] for key in _MARK_NUMBERS if is_whole(content.get(key))}
    found["points"] = _names(content.get("points"))
    found["after"] = len(content["after"]) if isinstance(content.get("after"), list) else 0
    known.pop(name[:MAX_TEXT], None)
    known[name[:MAX_TEXT]] = found | _placed(at, content)
    if len(known) > MAX_MARKS:
        ended = next((key for key, each in known.items() if each["step"] == "ended"), next(iter(known)))
        del known[ended]


def phased(known: list[dict[str, Any]], at: tuple[str, int], content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of phases with that of a ``phase`` entry, oldest first; one that comes again is the same."""
    found: dict[str, Any] = {key: text(content[key], MAX_TEXT) for key in ("step", "phase", "item", "by", "reason", "how") if isinstance(content.get(key), str)}
    found["open"] = _names(content.get("open"))
    others = [each for each in known if (each["epoch"], each["seq"]) != at]
    return [*others, found | _placed(at, content)][-MAX_STEPS:]


def calibrated(known: list[dict[str, Any]], at: tuple[str, int], content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of calibrations with that of a ``calibration`` entry, oldest first; one that comes again is the same."""
    if content.get("step") not in ("as-found", "as-left", "corrected"):
        raise ValueError("no step of a calibration")
    found: dict[str, Any] = {key: text(content[key], MAX_TEXT) for key in ("step", "point", "by", "reason", "certificate", "unit", "due") if isinstance(content.get(key), str)}
    for key in ("error", "reference", "reading", "uncertainty", "offset", "from_wall_us", "until_wall_us"):
        if isinstance(content.get(key), int | float) and not isinstance(content[key], bool):
            found[key] = content[key]
    if isinstance(content.get("within"), bool):
        found["within"] = content["within"]
    others = [each for each in known if (each["epoch"], each["seq"]) != at]
    return [*others, found | _placed(at, content)][-MAX_STEPS:]


def _placed(at: tuple[str, int], content: Mapping[str, Any]) -> dict[str, Any]:
    if not is_whole(content.get("wall_us")):
        raise ValueError("'wall_us' is no whole number")
    return {"epoch": at[0], "seq": at[1], "wall_us": content["wall_us"]}


def _names(value: Any) -> list[str]:
    return [str(each)[:64] for each in value[:MAX_NAMES]] if isinstance(value, list) else []
