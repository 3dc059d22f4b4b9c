"""What a campaign over crash points counts, and how one point is awaited; knows no process but by its name."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

from tests.faults.trap import Ended
from tests.faults.trapped import Trapped

#: What a start may take until the call that it is killed before (s).
PATIENCE_S = 30.0


@dataclass(slots=True)
class Points:
    """What was counted over all passes."""

    points: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    broken: int = 0
    repairs: int = 0
    acknowledged: int = 0
    epochs: int = 0
    alarms: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)

    def note(self, why: str) -> None:
        if len(self.why) < 20:
            self.why.append(why)

    def killed(self, which: str, ended: Ended) -> None:
        self.points[which] = self.points.get(which, 0) + 1
        kind = f"{ended.kind} {ended.target}".strip()
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def reached(self, which: str, process: Trapped, call: int) -> bool:
        """Wait for the kill; False when the process ended otherwise, which an orderly end alone may."""
        ended = process.wait(PATIENCE_S)
        if ended is None:
            process.kill()
            self.repairs += 1
            self.note(f"{which}: call {call} was not reached in {PATIENCE_S} s: {process.output()[-300:]}")
            return False
        if ended.exit != -signal.SIGKILL:
            if ended.exit:
                self.repairs += 1
                self.note(f"{which} ended by itself ({ended.exit}) before call {call}: {process.output()[-600:]}")
            return False
        self.killed(which, ended)
        return True

    @property
    def total(self) -> int:
        return sum(self.points.values())

    @property
    def sound(self) -> bool:
        return not (self.lost or self.broken or self.repairs or self.alarms)
