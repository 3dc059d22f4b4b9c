"""Rule time: never decreasing, monotonic within a boot, carried over restarts; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class RuleTime:
    """Maps monotonic time to rule time (both µs). ``base_us`` is what is added to monotonic time."""

    base_us: int = 0
    last_us: int = 0

    def at(self, mono_us: int) -> int:
        """Rule time of an instant; an instant before the last one judged counts as that one."""
        self.last_us = max(self.last_us, self.base_us + mono_us)
        return self.last_us

    def mono_us(self, rule_us: int) -> int:
        """The monotonic instant at which rule time reaches ``rule_us``."""
        return rule_us - self.base_us


def resume(
    last: dict[str, Any] | None, *, mono_us: int, wall_us: int, boot: str, trusted: bool, base_us: int | None = None
) -> tuple[RuleTime, str]:
    """Rule time after a restart, given the last entry of the journal, and how it was carried over.

    Within a boot monotonic time goes on, from the least difference of both that the boot's entries show (``base_us``): an
    entry that waited for its turn has an older monotonic time than its rule time. Across boots rule time advances by the wall difference if both ends are
    trusted, else by 0 (``"unknown"``): power-cycling cannot make a delay run faster than somebody vouches for.
    """
    if last is None:
        return RuleTime(base_us=-mono_us, last_us=0), "new"
    last_rule = int(last["rule_us"])
    if last["boot"] == boot and int(last["mono_us"]) <= mono_us:
        base_us = (
            min(base_us, last_rule - int(last["mono_us"])) if base_us is not None else last_rule - int(last["mono_us"])
        )
        return RuleTime(base_us=base_us, last_us=last_rule), "monotonic"
    if trusted and last["trusted"] and wall_us >= int(last["wall_us"]):
        now_rule = last_rule + wall_us - int(last["wall_us"])
        return RuleTime(base_us=now_rule - mono_us, last_us=last_rule), "wall"
    return RuleTime(base_us=last_rule - mono_us, last_us=last_rule), "unknown"
