"""When to commit: pure policy over what is pending; it counts and compares, it does not wait.

A commit costs an fsync and, on an SD card, wear. So: nothing pending, no commit; ordinary entries are committed at
the end of a poll round, at most every ``commit_every_us``; a violation, a person who waits, or unacknowledged
messages are committed at once, but at most five times a second.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Between two commits that could not wait; one of ordinary entries does not hold back a violation.
URGENT_SPACING_US = 200_000
MESSAGE_AGE_US = 50_000
MESSAGES_UNACKNOWLEDGED = 10
#: A round of polls has ended when nothing came for this long.
QUIET_US = 20_000
#: A round may be committed this part of ``commit_every_us`` early: one late round must not delay all later ones.
EARLY = 20
#: Bounds of what may wait. Against half a megabyte a commit's own cost is small; more at once would hold up the field.
MAX_PENDING_ENTRIES = 4_096
MAX_PENDING_BYTES = 512 * 1024


@dataclass(slots=True)
class Pace:
    """Real monotonic µs throughout (not the scaled clock: this is about the disk)."""

    commit_every_us: int
    last_commit_us: int = -(10**12)
    last_urgent_us: int = -(10**12)
    since_us: int = 0  # when the first pending entry came
    newest_us: int = 0  # when the newest pending entry came
    entries: int = 0
    size_bytes: int = 0
    messages: int = 0
    messages_since_us: int = 0
    urgent: bool = False

    def added(self, now_us: int, size_bytes: int, *, message: bool = False, urgent: bool = False) -> None:
        """One more entry is pending."""
        if not self.entries:
            self.since_us = now_us
        self.newest_us = now_us
        self.entries += 1
        self.size_bytes += size_bytes
        self.urgent = self.urgent or urgent
        if message:
            if not self.messages:
                self.messages_since_us = now_us
            self.messages += 1

    def due_us(self) -> int | None:
        """When to commit at the latest, None when nothing is pending."""
        if not self.entries:
            return None
        if self.entries >= MAX_PENDING_ENTRIES or self.size_bytes >= MAX_PENDING_BYTES:
            return self.since_us
        every_us = self.commit_every_us
        # The round's end, or a whole interval of entries that come without a pause.
        ended_us = min(self.newest_us + QUIET_US, self.since_us + every_us)
        due_us = max(ended_us, self.last_commit_us + every_us - every_us // EARLY)
        soonest_us = self.last_urgent_us + URGENT_SPACING_US
        if self.urgent:
            due_us = min(due_us, max(self.since_us, soonest_us))
        if self.messages >= MESSAGES_UNACKNOWLEDGED:
            due_us = min(due_us, max(self.messages_since_us, soonest_us))
        elif self.messages:
            due_us = min(due_us, max(self.messages_since_us + MESSAGE_AGE_US, soonest_us))
        return due_us

    def committed(self, now_us: int) -> None:
        """All that was pending is durable."""
        self.last_commit_us = now_us
        if self.urgent or self.messages:
            self.last_urgent_us = now_us
        self.entries = self.size_bytes = self.messages = 0
        self.urgent = False
