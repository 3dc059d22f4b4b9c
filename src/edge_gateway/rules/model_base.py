"""What rules of every kind may say in a pack: place, delays, basis, words and limits; reads no file.

Numbers are taken as decimal text, so that the limit in the record is the one that was written.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edge_gateway.units import QUANTITIES, UNITS

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
Stage = Literal["intake", "quarantine", "washing", "wastewater", "dispatch", "storage"]
ZoneKind = Literal[
    "frozen-store", "chilled-store", "pre-cooling", "cutting-room", "cleaning-line", "steriliser", "outlet"
]
#: Phases of a working day (时段) in which a rule may be armed.
Phase = Literal["pre-start", "production", "closing", "closed"]
#: How well a limit's text is known: read in the primary text, quoted by somebody else, or not at all.
Verified = Literal["primary", "secondary", "no"]
#: Keys of ``[outlets.<id>]`` that a permit may set.
PermitKey = Literal["ph_low", "ph_high", "cod_mg_l", "ammonia_mg_l", "temperature_cel", "flow_m3_h"]


def decimal_text(text: str) -> str:
    """The one text of a finite number as people write it. Raises ValueError."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"'{text}' is no number") from None
    if not number.is_finite():
        raise ValueError(f"'{text}' is no number")
    return format(number.normalize() + 0, "f")


def _decimal(value: object) -> object:
    """Decimal text as people write it: -18, "-18.0" and -18.0 are one number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return value
    return decimal_text(repr(value) if isinstance(value, float) else str(value))


#: A number as decimal text, quoted or not.
Number = Annotated[str, BeforeValidator(_decimal, json_schema_input_type=str | float)]
Seconds = Annotated[float, Field(ge=0, le=31 * 86_400)]
Hours = Annotated[float, Field(gt=0, le=31 * 24)]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


#: One value or a list of them.
Stages = Annotated[tuple[Stage, ...], BeforeValidator(_several, json_schema_input_type=Stage | tuple[Stage, ...])]
ZoneKinds = Annotated[
    tuple[ZoneKind, ...], BeforeValidator(_several, json_schema_input_type=ZoneKind | tuple[ZoneKind, ...])
]
Phases = Annotated[tuple[Phase, ...], BeforeValidator(_several, json_schema_input_type=Phase | tuple[Phase, ...])]
Names = Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])]


def _date(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) else value


#: A date, or the honest word when no source tells it.
Date = Annotated[str, BeforeValidator(_date), Field(pattern=r"^\d{4}-\d{2}-\d{2}$|^unknown$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Season(Strict):
    """A part of every year, both days included (``05-01`` to ``10-31``); one that ends before it begins goes over the year's end."""

    begins: str = Field(pattern=r"^\d{2}-\d{2}$")
    ends: str = Field(pattern=r"^\d{2}-\d{2}$")

    @model_validator(mode="after")
    def _days(self) -> Season:
        for day in (self.begins, self.ends):
            try:
                dt.date.fromisoformat(f"2024-{day}")  # a leap year: the 29th of February is a day
            except ValueError:
                raise ValueError(f"'{day}' is no day; write month-day, such as 05-01") from None
        return self


class Select(Strict):
    """Which points a rule watches: all that agree with every key given. A key may list several values."""

    stage: Stages = ()
    zone_kind: ZoneKinds = ()
    quantity: Names = ()

    @model_validator(mode="after")
    def _sound(self) -> Select:
        if not (self.stage or self.zone_kind or self.quantity):
            raise ValueError("select nothing in particular would watch every point: give stage, zone_kind or quantity")
        for quantity in self.quantity:
            if quantity not in QUANTITIES:
                raise ValueError(f"unknown quantity '{quantity}'; known: {', '.join(sorted(QUANTITIES))}")
        return self


class Basis(Strict):
    """The article that a limit comes from, and how well we know it. What no source tells is ``unknown``, never guessed."""

    standard: str = Field(min_length=1)
    clause: str = Field(min_length=1)
    edition: str = Field(min_length=1)
    effective_from: Date
    effective_to: Date | None = None
    verified: Verified
    source: str = Field(min_length=1)
    #: the same in Chinese; the card in Chinese has ``source`` where it is not given
    source_zh: str = ""


#: Where a rule's consequences are, seen from its own point.
Over = Literal["point", "device", "zone", "site"]
RuleName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}(?:/[a-z0-9-]{1,32})?$")]


class Consequences(Strict):
    """Rules whose violations follow from this one's: ``rule`` of the same pack, or ``pack/rule``; and where they do."""

    rules: Annotated[tuple[RuleName, ...], Field(min_length=1)]
    over: Over


class RuleBase(Strict):
    """What all kinds share. Delays count in rule time from the first offending reading.

    ``notices_only``: the rule never becomes a violation, and then has no ``violation_after_s``. ``unknown_after_s``:
    how long readings may be missing before the condition of something open is called unknown; ``undecided_after_s``: how
    long it may be undecided before that is told. ``fresh_for_s``: how
    long a reading speaks for its point; without it three of the point's intervals (15 minutes if it has none).
    ``armed_in``: phases of the day in which it is armed; ``season``: parts of the year; none given: always.
    ``acknowledge_h``, ``correct_h``, ``verify_h``: how long people have; ``recur_h``: again so soon after closing names the old
    one; ``stable_h``: so long within its limit, and a minor one closes by itself. Without them ``violations.deadlines`` has the hours.
    """

    id: Identifier
    select: Select
    notice_after_s: Seconds = 0.0
    violation_after_s: Seconds | None = None
    clear_after_s: Seconds = 0.0
    unknown_after_s: Seconds = 0.0
    undecided_after_s: Seconds = 3600.0
    fresh_for_s: Seconds | None = None
    notices_only: bool = False
    acknowledge_h: Hours | None = None
    correct_h: Hours | None = None
    verify_h: Hours | None = None
    recur_h: Hours | None = None
    stable_h: Hours | None = None
    armed_in: Phases = ()
    season: tuple[Season, ...] = ()
    #: what is told as part of this one while it stands: docs/reference/violations.md
    consequences: Consequences | None = None
    severity: Literal["minor", "major"]
    department: Literal["market-regulation", "agriculture", "health", "ecology"]
    basis: Basis
    #: by key of ``[rules.override.<rule>]`` the least and the most that a site may give
    bounds: dict[str, tuple[Number, Number]] = Field(default_factory=dict)
    title_zh: str = Field(min_length=1)
    title_en: str = Field(min_length=1)
    do_zh: tuple[str, ...]
    do_en: tuple[str, ...]
    consequence_zh: str = ""
    consequence_en: str = ""

    @model_validator(mode="after")
    def _delays(self) -> RuleBase:
        if self.notices_only == (self.violation_after_s is not None):
            raise ValueError("a rule has violation_after_s, or notices_only = true: one of the two")
        if self.violation_after_s is not None and self.violation_after_s < self.notice_after_s:
            raise ValueError(
                f"violation_after_s {self.violation_after_s:g} is before notice_after_s {self.notice_after_s:g}"
            )
        if not self.do_zh or len(self.do_zh) != len(self.do_en):
            raise ValueError("do_zh and do_en must be the same steps, at least one")
        if bool(self.consequence_zh) != bool(self.consequence_en):
            raise ValueError("consequence_zh and consequence_en: both, or none")
        return self

    @model_validator(mode="after")
    def _bounded(self) -> RuleBase:
        for key, (low, high) in self.bounds.items():
            own = self.number(key)
            if Decimal(low) > Decimal(high):
                raise ValueError(f"bounds of {key}: {low} is above {high}; write the least first")
            if own is not None and not Decimal(low) <= Decimal(str(own)) <= Decimal(high):
                raise ValueError(f"bounds of {key}: the rule's own {own} is not within {low} to {high}")
        return self

    def number(self, key: str) -> str | float | None:
        """The rule's own number under a key of ``[rules.override.<rule>]``, None where it has none. Raises ValueError: no rule of this kind has such a number."""
        if key in ("excuse_most_s", "excuse_peak"):
            excuse = getattr(self, "excuse", None)
            if excuse is None:
                raise ValueError(f"bounds of {key}: the rule has no excuse")
            return excuse.most_s if key == "excuse_most_s" else excuse.peak  # type: ignore[no-any-return]
        if key not in BOUNDED or key not in type(self).model_fields:
            raise ValueError(f"bounds of {key}: a site gives such a rule no number of that name")
        return getattr(self, key)  # type: ignore[no-any-return]


#: Numbers that a site may give a rule, as far as its kind has them; with those of an excuse.
BOUNDED = frozenset(
    ("low", "high", "notice_after_s", "violation_after_s", "clear_after_s", "unknown_after_s", "undecided_after_s", "most", "most_minutes", "most_degree_minutes", "per_s", "within_s",
     "rise", "after_s", "factor")
)  # fmt: skip


class Permit(Strict):
    """Which keys of the outlet's permit take the place of ``low`` and ``high``."""

    low: PermitKey | None = None
    high: PermitKey | None = None


class Limited(RuleBase):
    """A value below ``low`` or above ``high`` breaks the rule; the limit itself is within.

    ``clear_at``: how far back inside a value must be to end it; for two limits [from low, from high].
    """

    unit: str
    low: Number | None = None
    high: Number | None = None
    clear_at: Number | tuple[Number, Number] | None = None
    permit: Permit | None = None

    @property
    def clear(self) -> tuple[str | None, str | None]:
        """``clear_at`` for the lower and the upper side."""
        if isinstance(self.clear_at, tuple):
            return self.clear_at
        if self.clear_at is None:
            return None, None
        return (self.clear_at, None) if self.low is not None else (None, self.clear_at)

    @model_validator(mode="after")
    def _limits(self) -> Limited:
        known_unit(self.unit)
        if self.low is None and self.high is None and self.permit is None:
            raise ValueError("a limit needs low, high, or a permit to take them from")
        if (
            isinstance(self.clear_at, tuple) != (self.low is not None and self.high is not None)
            and self.clear_at is not None
        ):
            raise ValueError("clear_at is one number for one limit, [from low, from high] for two")
        check_limits(self.low, self.high, *self.clear)
        return self


def known_unit(unit: str) -> None:
    """Raises ValueError for a unit that is no UCUM code known here."""
    if unit not in UNITS:
        raise ValueError(f"unknown unit '{unit}'; UCUM codes known: {' '.join(sorted(UNITS))}")


def check_limits(low: str | None, high: str | None, clear_low: str | None, clear_high: str | None) -> None:
    """Raises ValueError unless low ≤ clear_low ≤ clear_high ≤ high and low < high, as far as they are given."""
    if low is not None and high is not None and Decimal(low) >= Decimal(high):
        raise ValueError(f"low {low} is not below high {high}")
    inside_low, inside_high = clear_low or low, clear_high or high
    if low is not None and clear_low is not None and Decimal(clear_low) < Decimal(low):
        raise ValueError(f"clear_at {clear_low} is outside the limit {low}")
    if high is not None and clear_high is not None and Decimal(clear_high) > Decimal(high):
        raise ValueError(f"clear_at {clear_high} is outside the limit {high}")
    if inside_low is not None and inside_high is not None and Decimal(inside_low) > Decimal(inside_high):
        raise ValueError(f"nothing lies between clear_at {inside_low} and {inside_high}")
