"""What a finding is, and the recent outcomes of a unit as rates, with what counts as a rate of faults; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt

from edge_gateway.links.modbus_trace import CODES, DAMAGED, Exchange, LineRecord, UnitRecord

#: Exchanges of a unit before silence, and before a rate of faults, is judged.
MIN_SILENT, MIN_RATE = 3, 20
#: A rate of faults is one when it is above this with 95 % confidence (Wilson's lower bound), and at least so many.
TOLERATED, MIN_FAULTS = 0.01, 4
#: A share of faults that is "practically always".
ALWAYS = 0.9
#: An hour is noisy when it has this share of faults, all such hours together five times that of the quiet ones.
NOISY_HOUR = 0.03
#: Below this baud a missing terminator alone damages nothing within 1200 m (see the document).
RINGING_BAUD = 38_400

_DAMAGED = frozenset(CODES[name] for name in DAMAGED)
_ANSWERS = frozenset((CODES["answer"], CODES["padded"], CODES["exception"]))


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` says what is seen, ``causes`` what may be behind it, likeliest first. ``units`` empty: the whole line.

    ``level``: ``ok``, ``warn`` (it works, not well) or ``fail``. ``hours``: hours since 1970 in which it shows.
    ``figures`` are what was counted, by name.
    """

    code: str
    level: str
    causes: tuple[str, ...] = ()
    units: tuple[int, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    hours: tuple[int, ...] = ()


@dataclass(slots=True)
class Rates:
    """The recent outcomes of a unit, counted. ``damaged`` and ``padded`` are ``links.modbus_trace``'s."""

    record: UnitRecord
    asked: int
    answered: int
    silent: int
    late: int
    damaged: int
    padded: int

    @classmethod
    def of(cls, record: UnitRecord) -> Rates:
        """Count."""
        count = Counter(record.recent)
        return cls(
            record,
            len(record.recent),
            sum(count[code] for code in _ANSWERS),
            count[CODES["silence"]],
            count[CODES["late"]],
            sum(count[code] for code in _DAMAGED),
            count[CODES["padded"]],
        )

    @property
    def damage(self) -> list[Exchange]:
        """The kept exchanges whose answers were damaged."""
        return [exchange for exchange in self.record.kept if exchange.outcome in DAMAGED]

    def figures(self) -> dict[str, float]:
        """By name, for a finding."""
        return {"asked": self.asked, "answered": self.answered, "silent": self.silent, "damaged": self.damaged, "late": self.late}  # fmt: skip


def sum_of(rates: Iterable[Rates]) -> dict[str, float]:
    """The figures of several units, added up."""
    total: Counter[str] = Counter()
    for unit in rates:
        total.update(unit.figures())
    return dict(total)


def is_rate(faults: int, asked: int) -> bool:
    """Whether so many faults are more than what a sound line may have: Wilson's lower bound at 95 %."""
    if asked < MIN_RATE or faults < MIN_FAULTS:
        return False
    share, z = faults / asked, 1.96
    middle = share + z * z / (2 * asked)
    wide = z * sqrt(share * (1 - share) / asked + z * z / (4 * asked * asked))
    return (middle - wide) / (1 + z * z / asked) > TOLERATED


def with_ringing(line: LineRecord, causes: tuple[str, ...]) -> tuple[str, ...]:
    """The causes, and a missing terminator where the line is fast enough for it to matter."""
    return (*causes, "termination") if line.baud >= RINGING_BAUD else causes
