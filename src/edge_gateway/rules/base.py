"""What rules hand to the rest: a rule bound to a point, and a step that it takes; knows no engine and no pack file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

#: Kinds, each named by the broken condition.
LIMIT, RATE, STALE, FLAT, SPREAD, WINDOW, EXPOSURE = "limit", "rate", "stale", "flat", "spread", "window", "exposure"
DESCENT, SEQUENCE, COMBINED = "descent", "sequence", "combined"

#: What is no condition: too little was known for too long; a cycle is complete (its certificate is in ``detail``).
UNDECIDED, PASSED = "undecided", "passed"

#: Nor is what a rule that is not armed would have done (``standing``): it would have fired, and that would have been over.
FIRED, ENDED = "would-have-fired", "would-have-ended"

#: Steps that the engine takes. ``cancelled``: a notice ended without a violation.
NOTICE, VIOLATED, RECOVERED, UNKNOWN, ACTIVE, CANCELLED = (
    "notice",
    "violated",
    "recovered",
    "unknown",
    "active",
    "cancelled",
)
_LISTS = ("do_zh", "do_en", "others", "armed_in", "season", "consequences")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundRule:
    """One rule at one point, with its numbers resolved: what the engine judges and the record names.

    ``low``, ``high``, ``clear_low``, ``clear_high`` are decimal text in ``unit`` (None: that side is open); for
    ``rate`` they bound the change per second, for ``stale`` ``after_us`` bounds the silence. ``violation_after_us``
    is None for a rule that only gives notices. ``fresh_us``: how long a reading speaks for its point.
    """

    id: str
    pack: str
    pack_version: str
    edition: str
    kind: str
    point: str
    #: which version of the kind's semantics judges it (``kinds.SEMANTICS``)
    semantics: int = 1
    quantity: str = ""
    unit: str = ""
    low: str | None = None
    high: str | None = None
    clear_low: str | None = None
    clear_high: str | None = None
    per_s: str | None = None
    window_us: int = 0
    after_us: int = 0
    notice_after_us: int = 0
    violation_after_us: int | None = None
    clear_after_us: int = 0
    unknown_after_us: int = 0
    undecided_after_us: int = 3_600_000_000
    fresh_us: int = 900_000_000
    #: further points that it is judged by
    others: tuple[str, ...] = ()
    #: a kind's own numbers, as decimal text or whole numbers of µs
    terms: Mapping[str, str | int] = field(default_factory=dict, hash=False)
    #: the limit as people read it, with its UCUM unit: ``≤ -18 Cel``
    limit: str = ""
    severity: str = "minor"
    department: str = ""
    standard: str = ""
    clause: str = ""
    basis_edition: str = ""
    effective_from: str = ""
    effective_to: str = ""
    verified: str = "no"
    source: str = ""
    source_zh: str = ""
    outlet: str = ""
    #: what people have of time, in hours, where the rule says it: see ``violations.deadlines``
    hours: Mapping[str, float] = field(default_factory=dict, hash=False)
    title_zh: str = ""
    title_en: str = ""
    do_zh: tuple[str, ...] = ()
    do_en: tuple[str, ...] = ()
    consequence_zh: str = ""
    consequence_en: str = ""
    #: its pack's state at this site where it is not enforced: ``draft`` or ``shadow``
    state: str = ""
    #: phases of the day in which it is armed; none: always
    armed_in: tuple[str, ...] = ()
    #: parts of the year in which it is armed, ``05-01/10-31``; none: all of it
    season: tuple[str, ...] = ()
    #: rules whose violations follow from this one's, and where: at its ``point``, ``device``, ``zone``, or anywhere at the ``site``
    consequences: tuple[str, ...] = ()
    consequences_over: str = ""
    #: the point's former id: state and open violations follow it
    renamed_from: str = ""

    @property
    def notices_only(self) -> bool:
        """True when the rule never becomes a violation."""
        return self.violation_after_us is None

    @property
    def basis(self) -> str:
        """The article that the limit comes from, in one line; what is not known of it is said so."""
        clause = {"unknown": ", clause not verified", "none": ""}.get(self.clause, f", clause {self.clause}")
        return f"{self.standard} ({self.basis_edition}){clause}"

    @property
    def decision(self) -> str:
        """How a value near the limit is decided: as it is, or not at all within its probe's uncertainty."""
        band = self.terms.get("uncertainty")
        return f"guard band ±{band} {self.unit}" if band else "simple acceptance"

    def as_config(self) -> dict[str, Any]:
        """JSON-able, for the resolved configuration; what is empty is left out."""
        body = {key: value for key, value in asdict(self).items() if value not in (None, "", (), {})}
        body["basis"] = self.basis
        body["decision"] = self.decision
        body["notices_only"] = self.notices_only
        for key in _LISTS:
            if key in body:
                body[key] = list(body[key])
        return body

    @classmethod
    def from_config(cls, body: dict[str, Any]) -> BoundRule:
        """The rule that ``as_config`` described. Raises TypeError when a key is missing."""
        known = {key: value for key, value in body.items() if key in cls.__dataclass_fields__}
        for key in _LISTS:
            known[key] = tuple(known.get(key, ()))
        return cls(**known)


def rules_document(rules: Iterable[BoundRule]) -> list[dict[str, Any]]:
    """Rules as the resolved configuration holds them: each once, with all ``points`` at which it has the same numbers.

    A thousand points under three rules are three rules, not three thousand: the text must fit into one message.
    """
    found: dict[BoundRule, dict[str, Any]] = {}
    for rule in rules:
        shared = replace(rule, point="", renamed_from="")
        body = found.get(shared)
        if body is None:
            body = found[shared] = shared.as_config() | {"points": []}
        body["points"].append(rule.point)
        if rule.renamed_from:
            body.setdefault("renamed", {})[rule.point] = rule.renamed_from
    return list(found.values())


def each_rule(document: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The resolved configuration's rules one a point, each with its ``point``."""
    for body in document:
        rest = {key: value for key, value in body.items() if key not in ("points", "renamed")}
        for point in body["points"]:
            yield rest | {"point": point, "renamed_from": body.get("renamed", {}).get(point, "")}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class NotMonitored:
    """A rule that judges nothing here, and why. It is reported as not monitored, never as compliant."""

    rule: str
    pack: str
    why: str
    title_zh: str = ""
    title_en: str = ""
    #: where the rule would have belonged (an outlet's zone, a point with another unit); "" for nowhere
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first offending reading of an excursion: times in µs, and the value (None for silence)."""

    rule_us: int
    wall_us: int
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A rule's condition at a point changed. Times in µs.

    ``value`` is the reading that made the step (None: unknown, or time alone for a silence), ``peak`` the reading
    furthest beyond the limit since ``first``, ``beyond_us`` how long readings are known to have been beyond it,
    ``marked_us`` how long besides while the rule was not armed.
    """

    rule: str
    point: str
    step: str
    rule_us: int
    wall_us: int
    first: First
    value: float | None = None
    peak: float | None = None
    beyond_us: int = field(default=0)
    #: how far beyond the limit ``peak`` is
    excess: float = 0.0
    #: how far beyond the limit for how long: exact decimal text in the limit's unit x µs (``area``); "" where that says nothing
    area: str = ""
    detail: Mapping[str, Any] | None = None
    marked_us: int = 0

    @property
    def minutes(self) -> float:
        """``beyond_us`` in minutes with one decimal, rounded down: never more than is known."""
        return self.beyond_us // 6_000_000 / 10

    @property
    def marked_minutes(self) -> float:
        """``marked_us`` likewise."""
        return self.marked_us // 6_000_000 / 10
