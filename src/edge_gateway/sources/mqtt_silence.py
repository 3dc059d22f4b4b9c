"""When a device that should speak every so often has not: slots of message groups as gaps; pure, reads no clock.

A message group's next slot is at the latest ``interval_us`` after its last message (or after the start). A slot that passes
without a message lies in a gap; a gap whose reason changes (first the broker was away, then the device is silent) is closed
and another opened where it changed.
"""

from __future__ import annotations

from edge_gateway.reading import GapClosed, GapOpened, Group


class Silence:
    """One group's slots. ``boot`` goes into the gaps' ids: monotonic times repeat after a boot."""

    def __init__(self, group: Group, now_us: int, boot: str) -> None:
        self.group = group
        self.due_us = now_us + group.interval_us
        self.gap: GapOpened | None = None
        self._boot = boot

    def passed(self, now_us: int, reason: str, detail: str = "") -> list[GapOpened | GapClosed]:
        """Account for the slots up to ``now_us``: [] while none is overdue, or the gap goes on for the same reason."""
        if now_us < self.due_us:
            return []
        told: list[GapOpened | GapClosed] = []
        if self.gap is None or self.gap.reason != reason:
            told += self._close(self.due_us)
            self.gap = GapOpened(
                id=f"{self.group.id}/{self._boot}-{self.due_us}",
                groups=(self.group.id,),
                reason=reason,
                since_slot_us=self.due_us,
                detail=detail,
            )
            told.append(self.gap)
        self.due_us += ((now_us - self.due_us) // self.group.interval_us + 1) * self.group.interval_us
        return told

    def heard(self, at_us: int, reason: str) -> list[GapOpened | GapClosed]:
        """A message came at ``at_us``: account for what was overdue before it, and close the gap."""
        if self.gap is not None and at_us < self.gap.since_slot_us:
            return []  # it waited here, since before the gap: intake took nothing
        told = self.passed(at_us - 1, reason)
        told += self._close(at_us)
        self.due_us = at_us + self.group.interval_us
        return told

    def follow(self, before: Silence) -> None:
        """Take over where another interval's slots of the same group stand, an open gap included."""
        last_us = before.due_us - before.group.interval_us
        self.due_us = max(last_us + self.group.interval_us, self.due_us - self.group.interval_us)
        self.gap = before.gap

    def ended(self, at_us: int) -> list[GapOpened | GapClosed]:
        """The group is no longer read: an open gap ends here."""
        return self._close(at_us)

    def _close(self, until_us: int) -> list[GapOpened | GapClosed]:
        if self.gap is None:
            return []
        slots = -((self.gap.since_slot_us - until_us) // self.group.interval_us)  # rounded up
        closed = GapClosed(id=self.gap.id, until_slot_us=until_us, slots=max(slots, 0))
        self.gap = None
        return [closed]
