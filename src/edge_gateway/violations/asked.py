"""What a person asks of a violation, who that is and how well it is known, and when and where it happens; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.errors import GatewayError

#: How well it is known who somebody is: a name that was typed or an OS user's; a secret of their own; the hub's key.
CLAIMED, SECRET, HUB = "claimed", "secret", "hub"
#: No person at all: time and the record's own rules.
AUTOMATIC = "automatic"


class StepRefused(GatewayError):
    """A step that the present state does not permit: look at the state, take another step."""


@dataclass(frozen=True, slots=True)
class Who:
    """A person. ``user`` is the OS user at the keyboard, "" for the hub."""

    name: str
    proof: str = CLAIMED
    user: str = ""

    @property
    def proven(self) -> bool:
        """Whether more than a name stands for it."""
        return self.proof in (SECRET, HUB)


@dataclass(frozen=True, slots=True)
class Moment:
    """The entry that is about to be written: its times (µs), whether somebody vouches for the wall time, and its place."""

    rule_us: int
    wall_us: int
    trusted: bool
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Ask:
    """``step`` is one of ``table.TABLE``; ``detail`` is what the step needs besides (an assessment, a new deadline).

    ``photos``: what its entry says of photos that belong to it, as the journal names them.
    """

    step: str
    violation: str
    who: Who
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    photos: Sequence[Mapping[str, Any]] = ()
