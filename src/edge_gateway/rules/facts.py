"""What binding asks of points and zones; knows no configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFacts:
    """``interval_us`` 0: nobody knows when its next reading is due. ``uncertainty``: its probe's, as decimal text in ``unit``; "": unknown.

    ``own_time``: its readings may come with a time of their own, and late; what is timed by us is never late.
    """

    id: str
    quantity: str
    unit: str
    zone: str = ""
    interval_us: int = 0
    renamed_from: str = ""
    uncertainty: str = ""
    own_time: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFacts:
    """Where a point is."""

    stage: str
    kind: str
