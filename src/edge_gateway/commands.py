"""Whether a hub command may be carried out now, and which ones were answered; pure: knows no key, no journal and no clock.

A command is answered once: what was executed or refused is never looked at again, whatever comes and however often. An id is
forgotten only when it has expired and more than ``MAX_KNOWN`` came after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_gateway.wire.command import Expected, HubCommand

EXECUTED, REFUSED, DEFERRED = "executed", "refused", "deferred"
#: How far the clocks of hub and gateway may be apart (µs).
TOLERANCE_US = 60_000_000
#: Ids remembered. While so many could still come again, no further command is taken.
MAX_KNOWN = 256


class Ledger:
    """Ids of commands with what became of them; it survives in snapshots, and is replayed from ``command`` entries."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, int]] = {}

    def outcome(self, id_: str) -> str:
        """What became of a command; "" for one that never came."""
        return self._known.get(id_, ("", 0))[0]

    def full(self, now_us: int) -> bool:
        """Whether nothing known can be forgotten, and there is no room."""
        return len(self._known) >= MAX_KNOWN and not self._expired(now_us)

    def note(self, id_: str, outcome: str, expires_us: int, now_us: int) -> None:
        """Remember an answer."""
        for old in self._expired(now_us)[: max(0, len(self._known) + (id_ not in self._known) - MAX_KNOWN)]:
            del self._known[old]
        self._known.pop(id_, None)
        self._known[id_] = (outcome, expires_us)

    def replay(self, entry: Mapping[str, Any]) -> None:
        """Take over a ``command`` entry. One without an id was no command of the hub's."""
        if "id" in entry:
            self.note(str(entry["id"]), str(entry["outcome"]), int(entry["expires_us"]), int(entry["wall_us"]) if entry["trusted"] else 0)

    def snapshot(self) -> list[list[Any]]:
        """JSON-able: ``[id, outcome, expires_us]``, in the order of the answers."""
        return [[id_, outcome, expires_us] for id_, (outcome, expires_us) in self._known.items()]

    def restore(self, known: Sequence[Sequence[Any]]) -> None:
        """Take over a snapshot."""
        self._known = {str(id_): (str(outcome), int(expires_us)) for id_, outcome, expires_us in known}

    def _expired(self, now_us: int) -> list[str]:
        over = now_us - 2 * TOLERANCE_US
        return [id_ for id_, (_, expires_us) in self._known.items() if expires_us < over]


def state_of(record: Mapping[str, Any]) -> Expected:
    """The state of an open violation, as a command expects one."""
    return Expected(str(record["condition"]), str(record["handling"]), int(record.get("episode", 1)), int(record.get("returns", 0)))


def refusal(command: HubCommand, gateway: str, record: Mapping[str, Any] | None, now_us: int) -> tuple[str, str]:
    """Why a command is not carried out: a code and a sentence; ("", "") if it may. ``now_us``: trusted wall time.

    ``record``: the open violation of that name, None if none is open.
    """
    if command.gateway != gateway:
        return "other-gateway", f"it is for gateway '{command.gateway}'"
    if now_us > command.expires_us + TOLERANCE_US:
        return "expired", "it came after it had expired"
    if command.issued_us > now_us + TOLERANCE_US:
        return "ahead", "it was issued later than it is here: one of the clocks is wrong"
    if record is None:
        return "no-violation", f"no open violation '{command.violation}' here"
    opened = record.get("opened") or {}
    if (opened.get("epoch"), opened.get("seq")) != (command.epoch, command.opened):
        return "other-violation", f"{command.violation} was not opened by entry {command.opened} of epoch {command.epoch}"
    if (present := state_of(record)) != command.expected:
        return "stale", f"it is {present} by now, not {command.expected}"
    return "", ""
