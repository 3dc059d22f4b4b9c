"""What a record may say, how it is bounded, and what a lot is; pure: no clock, no I/O, no journal.

Weights are whole grams, dates are ``YYYY-MM-DD`` of the site's civil day, so that both compare and add up exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from edge_gateway.errors import GatewayError

INTAKE, LOT, DISPATCH, DOCUMENT = "intake", "lot", "dispatch", "document"
#: What each type must say, and what it may.
KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    INTAKE: (("lot", "product", "supplier", "grams"), ("zone", "certificate", "slip", "expires", "note")),
    LOT: (("lot",), ("zone", "from", "grams", "product", "expires", "note")),
    DISPATCH: (("lot", "receiver"), ("grams", "slip", "vehicle", "disposal", "note")),
    DOCUMENT: (("document", "number"), ("expires", "lot", "holder", "note")),
}
#: What a configuration may require (``records.start_requires``, ``records.dispatch_requires``).
REQUIRABLE = ("certificate", "slip", "temperature", "photo")
#: A temperature that is taken for a record counts as one if it is good and no older than this (µs).
FRESH_US = 10 * 60 * 1_000_000
MAX_TEXT, MAX_FROM = 120, 12
#: 10,000 t.
MAX_GRAMS = 10**10
_LOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z")


class RecordRefused(GatewayError):
    """A record that cannot be: look at what is missing or wrong, and record it again."""


@dataclass(slots=True)
class Stay:
    """A lot in a zone: from, and until (None: it is there), on rule time and as wall time (µs)."""

    zone: str
    begin_rule_us: int
    begin_us: int
    end_rule_us: int | None = None
    end_us: int | None = None


@dataclass(slots=True)
class Lot:
    """One lot as its records tell. ``parents`` and ``children``: what went from lot to lot, in grams."""

    id: str
    product: str = ""
    supplier: str = ""
    certificate: str = ""
    slip: str = ""
    expires: str = ""
    grams_in: int = 0
    grams_left: int = 0
    began_us: int = 0
    temperature: Mapping[str, Any] | None = None
    photos: int = 0
    stays: list[Stay] = field(default_factory=list)
    parents: dict[str, int] = field(default_factory=dict)
    children: dict[str, int] = field(default_factory=dict)
    dispatches: list[Mapping[str, Any]] = field(default_factory=list)
    records: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Nothing of it is left here."""
        return self.grams_left == 0

    @property
    def zone(self) -> str:
        """Where it is now; "" where nobody said, or once it is over."""
        return self.stays[-1].zone if self.stays and self.stays[-1].end_rule_us is None else ""


def grams(kg: object) -> int:
    """A weight in kilograms (text or number, at most three decimals) as grams. Raises RecordRefused."""
    try:
        value = Decimal(str(kg).strip()) * 1000
        whole = int(value)
        if isinstance(kg, bool) or value != whole or not 0 < whole <= MAX_GRAMS:
            raise ValueError(kg)
    except (InvalidOperation, ValueError, OverflowError):
        why = f"'{str(kg)[:40]}' is no weight in kg"
        raise RecordRefused(why, hint="write it as 120 or 120.5, with at most three decimals") from None
    return whole


def kg(weight: int) -> str:
    """Grams as kilograms, exactly and without needless zeros."""
    return f"{weight // 1000}.{weight % 1000:03d}".rstrip("0").rstrip(".")


def said(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a record of this type out of what a person gave, checked on its own. Raises RecordRefused."""
    if kind not in KEYS:
        raise RecordRefused(f"no record '{kind}'", hint=f"one of {', '.join(KEYS)}")
    must, may = KEYS[kind]
    body = {"type": kind, **{key: _value(key, given[key]) for key in (*must, *may) if given.get(key) not in (None, "", [], {}, False)}}
    missing = [key for key in must if key not in body]
    if missing:
        raise RecordRefused(f"not said: {', '.join(missing)}", hint="a record of this type needs it")
    strange = [key for key, value in given.items() if key not in (*must, *may) and value not in (None, "", [], {}, False)]
    if strange:
        raise RecordRefused(f"a record of type {kind} has no {', '.join(sorted(strange))[:80]}")
    return body


def _value(key: str, value: Any) -> Any:
    if key == "grams":
        return grams(value) if not isinstance(value, int) or isinstance(value, bool) else _grams(value)
    if key == "from":
        return _parents(value)
    if key == "disposal":
        return True
    text = str(value).strip()
    if not text or len(text) > MAX_TEXT or not text.isprintable():
        raise RecordRefused(f"'{key}' has {len(text)} characters: 1 to {MAX_TEXT}, on one line")
    if key == "lot" and not _LOT.match(text):
        raise RecordRefused(f"'{text[:40]}' is no lot number", hint="up to 40 letters, digits, dots, underscores and hyphens")
    if key == "expires":
        day(text)
    return text


def _grams(value: int) -> int:
    if not 0 < value <= MAX_GRAMS:
        raise RecordRefused(f"{value} g is no weight of a lot")
    return value


def _parents(value: Any) -> dict[str, int | None]:
    """``{lot: grams or None (all that is left)}``."""
    if not isinstance(value, dict) or len(value) > MAX_FROM:
        raise RecordRefused(f"a lot is made from 1 to {MAX_FROM} others", hint="in several steps")
    return {_value("lot", lot): None if part is None else _value("grams", part) for lot, part in value.items()}


def day(text: str) -> date:
    """Raises RecordRefused for what is no ``YYYY-MM-DD``."""
    try:
        found = date.fromisoformat(text)
        if found.isoformat() != text:
            raise ValueError(text)
    except ValueError:
        raise RecordRefused(f"'{text[:20]}' is no date", hint="write it as 2026-12-31") from None
    return found


def civil_day(timezone: str, wall_us: int) -> str:
    """The day at the site at this wall time (µs UTC)."""
    return datetime.fromtimestamp(wall_us / 1e6, UTC).astimezone(ZoneInfo(timezone)).date().isoformat()


def days_left(expires: str, today: str) -> int | None:
    """Days until it expires: 0 on its last day, negative behind it; None without a date."""
    return (date.fromisoformat(expires) - date.fromisoformat(today)).days if expires else None


def names(ids: Sequence[str]) -> str:
    """For sentences."""
    return ", ".join(ids[:8]) + (" …" if len(ids) > 8 else "")
