"""A poll group's slots: which is due, which are accounted for by a batch, which lie in a gap; pure, time is passed in."""

from __future__ import annotations

from dataclasses import dataclass

from edge_gateway.reading import Batch, GapClosed, GapOpened, Group, Item


def aligned_after(mono_us: int, interval_us: int) -> int:
    """The first slot after ``mono_us``: whole intervals of the monotonic clock, so that all buses poll together."""
    return (mono_us // interval_us + 1) * interval_us


@dataclass(slots=True)
class Slots:
    """``due_us`` is the slot that is acted on next; every slot before ``next_us`` has its batch or lies in a closed gap."""

    group: Group
    due_us: int
    next_us: int
    gap: GapOpened | None = None
    #: True: the group is no longer read, and its last slot is accounted for
    retired: bool = False

    @classmethod
    def starting(cls, group: Group, after_us: int) -> Slots:
        """The first slot is the first whole interval after ``after_us``."""
        first_us = aligned_after(after_us, group.interval_us)
        return cls(group, first_us, first_us)

    def filled(self, batch: Batch) -> list[Item]:
        """The due slot becomes ``batch``; a gap before it ends."""
        items = self.ended(self.due_us)
        batch.slot_us = self.due_us
        items.append(batch)
        self.due_us = self.next_us = self.due_us + self.group.interval_us
        return items

    def skipped(self, reason: str, until_us: int, id_: str, detail: str = "") -> list[Item]:
        """Nothing before the first slot at or after ``until_us``: they lie in a gap, opened here unless one is open."""
        interval_us = self.group.interval_us
        behind_us = until_us - self.due_us
        if behind_us <= 0:
            return []
        self.due_us += -(-behind_us // interval_us) * interval_us
        if self.gap is not None:
            return []
        self.gap = GapOpened(
            id=f"{self.group.id}/{id_}",
            groups=(self.group.id,),
            reason=reason,
            since_slot_us=self.next_us,
            detail=detail,
        )
        return [self.gap]

    def ended(self, until_us: int) -> list[Item]:
        """Close the open gap, if any, before the slot ``until_us``."""
        gap, self.gap = self.gap, None
        if gap is None:
            return []
        missed = (until_us - gap.since_slot_us) // self.group.interval_us
        return [GapClosed(id=gap.id, until_slot_us=until_us, slots=missed)]

    def last(self, begins_us: int, mono_us: int, id_: str) -> list[Item]:
        """Account for the last slots of a group that goes (``begins_us`` 0), or is planned anew from the slot ``begins_us`` on."""
        # Slots that came, asked already or not; one put off beyond them is its successor's, which may come earlier.
        until_us = begins_us or max(self.next_us, aligned_after(mono_us, self.group.interval_us))
        opened: list[Item] = []
        if self.gap is None and until_us > self.next_us:
            opened = self.skipped("reconfigured", until_us, id_)
        return opened + self.ended(until_us)

    def late(self, mono_us: int) -> int:
        """The newest slot at or before ``mono_us`` when the due one is a whole interval old or more, else 0."""
        behind_us = mono_us - self.due_us
        interval_us = self.group.interval_us
        return self.due_us + behind_us // interval_us * interval_us if behind_us >= interval_us else 0
