"""What is due of outlets' discharge permits on a civil day (Beijing time), and what is said of it; pure, binds no rule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

#: So long before its last day a permit is told of.
AHEAD_DAYS = 30
#: Events of a running gateway: each is told once of a permit.
ENDS, ENDED = EVENTS = "permit-ends", "permit-ended"
_SAID = {
    ENDS: ("the permit {permit} of outlet '{outlet}' ends on {permit_until}", "排口“{outlet}”的许可证 {permit} 将于 {permit_until} 到期"),
    ENDED: (
        "the permit {permit} of outlet '{outlet}' ended on {permit_until}: its looser figures no longer count, its stricter ones do",
        "排口“{outlet}”的许可证 {permit} 已于 {permit_until} 到期：其中较宽的数值不再适用，较严的仍适用",
    ),
}


def due(outlets: Mapping[str, Mapping[str, Any]], day: str) -> list[dict[str, Any]]:
    """Permits that end within ``AHEAD_DAYS`` of a day, or have ended, the most urgent first: ``days`` left, negative once it has ended."""
    found = []
    for id_, outlet in outlets.items():
        if until := str(outlet.get("permit_until") or ""):
            days = (dt.date.fromisoformat(until) - dt.date.fromisoformat(day)).days
            about = {"outlet": id_, "permit": str(outlet.get("permit") or ""), "permit_until": until, "days": days}
            found += [{"event": ENDED if days < 0 else ENDS, **about}] if days <= AHEAD_DAYS else []
    return sorted(found, key=lambda each: (each["days"], each["outlet"]))


def why(about: Mapping[str, Any], language: str) -> str:
    """What is said of one of ``due``, in ``en`` or ``zh``."""
    return " ".join(_SAID[str(about["event"])][language == "zh"].format(**about).split())
