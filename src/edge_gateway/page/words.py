"""Numbers, times, spans and limits as people read them, in one language and the site's zone; pure, and knows no page.

Browsers tick the same words on: ``span`` here and in gateway.js must agree, so that a page reads alike with and without
scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge_gateway.web.rule_words import basis_words, standard_words

#: A true minus: it is as wide as a digit, and is never broken from its number.
MINUS = "\N{MINUS SIGN}"
#: Between a number and its unit.
_HARD = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Words:
    """Speaks one language: ``t`` is its catalogue, ``zone`` the site's IANA time zone, ``now_us`` the gateway's wall time."""

    t: Mapping[str, str]
    language: str
    zone: str
    now_us: int
    #: the browser says what ticks: sentences that grow older stay empty, so that only real changes differ
    mute: bool = False

    def say(self, key: str, **values: object) -> str:
        """A sentence of the catalogue with its places filled."""
        text = self.t[key]
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def name(self, about: Mapping[str, Any], key: str = "name") -> str:
        """``name_zh`` or ``name_en`` of anything."""
        return str(about.get(f"{key}_{self.language}") or "")

    # --- time ---------------------------------------------------------------------------------------------------

    def span(self, kind: str, span_us: int) -> str:
        """``age`` ("3 s ago") or ``for`` ("3 s"): two parts at the most."""
        seconds = max(0, span_us) // 1_000_000
        if kind == "age" and seconds < 1:
            return self.t["age.now"]
        if seconds < 120:
            return self.say(f"{kind}.s", n=seconds)
        minutes = seconds // 60
        if minutes < 120:
            return self.say(f"{kind}.min", n=minutes)
        hours = minutes // 60
        if hours < 48:
            return self.say(f"{kind}.h", h=hours, n=minutes % 60)
        return self.say(f"{kind}.d", d=hours // 24, h=hours % 24)

    def tick(self, key: str, since_us: int, total_s: float = 0.0) -> dict[str, Any]:
        """A sentence that grows older, and what a browser needs to say it again: key, time, total."""
        past_us = self.now_us - since_us
        parts = {"time": self.when(since_us), "total": self.span("for", int(total_s * 1e6))}
        if self.mute:
            return {"key": key, "us": since_us, "text": "", **parts}
        text = self.say(key, age=self.span("age", past_us), **{"for": self.span("for", past_us)}, **parts)
        return {"key": key, "us": since_us, "text": text, **parts}

    def local(self, wall_us: int) -> datetime:
        """A time in the site's zone."""
        return datetime.fromtimestamp(wall_us // 1_000_000, UTC).astimezone(ZoneInfo(self.zone))

    def when(self, wall_us: int) -> str:
        """``14:03``, with the date when it is not today's."""
        time = self.local(wall_us)
        same_day = time.date() == self.local(self.now_us).date()
        return time.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M")

    def zone_name(self) -> str:
        """``北京时间 (UTC+8)``: what to print beside every clock."""
        name = self.t.get(f"zone.{self.zone}", self.zone)
        minutes = self.offset_s() // 60
        sign = "+" if minutes >= 0 else MINUS
        hours, rest = divmod(abs(minutes), 60)
        return f"{name} (UTC{sign}{hours}{f':{rest:02}' if rest else ''})"

    def offset_s(self) -> int:
        """The zone's offset from UTC now, in seconds."""
        offset = self.local(self.now_us).utcoffset()
        return round(offset.total_seconds()) if offset is not None else 0

    # --- numbers ------------------------------------------------------------------------------------------------

    def number(self, value: float | str | None, decimals: int | None) -> str:
        """``−17.8``: fixed decimals, a true minus; the catalogue's "none" for None."""
        if value is None:
            return self.t["value.none"]
        text = str(value) if decimals is None or isinstance(value, str) else f"{value:.{decimals}f}"
        return text.replace("-", MINUS)

    def quantity(self, value: float | str | None, decimals: int | None, unit_shown: str) -> str:
        """A number with its unit; one word when there is none."""
        text = self.number(value, decimals)
        return f"{text}{_HARD}{unit_shown}" if unit_shown and value is not None else text

    def limit(self, rule: Mapping[str, Any], unit_shown: str) -> str:
        """``≤ −18 °C``, ``0 – 4 °C``: the limit's own decimal text, never rounded."""
        low, high = rule.get("low"), rule.get("high")
        if low is not None and high is not None:
            return self.quantity(f"{low}{_HARD}–{_HARD}{high}", None, unit_shown)
        if high is not None:
            return self.quantity(f"≤{_HARD}{high}", None, unit_shown)
        return "" if low is None else self.quantity(f"≥{_HARD}{low}", None, unit_shown)

    def unverified(self, verified: str | None) -> str:
        """What must stand beside a limit that nobody has read in the standard's own text."""
        return {"no": self.t["limit.unverified"], "secondary": self.t["limit.secondary"]}.get(verified or "no", "")

    def basis(self, rule: Mapping[str, Any], otherwise: str) -> str:
        """The article that a rule's limit comes from; what is not known of it is said so. Without it, ``otherwise``."""
        if not rule.get("standard"):
            return basis_words(otherwise, self.language)
        clause = str(rule.get("clause") or "none")
        about = {"standard": standard_words(str(rule["standard"]), self.language), "edition": rule.get("basis_edition", ""), "clause": clause}
        return self.say(f"basis.{clause if clause in ('unknown', 'none') else 'clause'}", **about)

    def quality(self, code: str) -> str:
        """A quality as a person understands it."""
        return self.t.get(f"q.{code}") or self.say("q.other", code=code)

    def size(self, size_bytes: float) -> str:
        """``1.2 GB``."""
        for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
            if size_bytes >= factor:
                return f"{size_bytes / factor:.1f}{_HARD}{unit}"
        return f"{size_bytes / 1e3:.0f}{_HARD}kB"
