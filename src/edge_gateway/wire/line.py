"""InfluxDB line protocol from journal entries; pure: knows no server, no clock, no journal, only entries and configurations.

Measurements, all times in microseconds:

- ``reading,point,quantity,site,zone value=<float>,quality="…",epoch="…",seq=…i`` (no ``value`` when bad; ``exact="…"``
  beside it for an integer that a double cannot hold)
- ``limit,point,rule,site``: a rule bound to a point: ``low`` and ``high`` as floats, ``pack``, ``in_force`` …, at each start and
  change
- ``event,kind,site,…``: steps of violations, gaps, corrections and whatever else happened
- ``gateway,site``: what the record says of the gateway itself: clock trust, boot, open gaps and violations

Two tags stand only where they are needed: ``clock=untrusted`` (wall time that nobody vouched for and nobody corrected)
and ``repeat=<n>`` (a further reading of the same series in the same microsecond, which would overwrite the first).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from edge_gateway.record.entry import ENVELOPE
from edge_gateway.rules.base import each_rule

#: Longest text field; InfluxDB 1.x takes 64 KiB.
MAX_TEXT = 8192
#: Longest tag value, in characters; the whole key may have 64 KiB.
MAX_TAG = 256
#: A double holds every integer up to here.
_MAX_EXACT = 2**53
#: Events that say something of the gateway itself.
_GATEWAY_EVENTS = ("started", "stopped", "clock-", "journal-", "gateway-")
_NO_DETAIL = ENVELOPE | {"event"}
_CONTROL = dict.fromkeys([*range(32), 127], " ")
_TAG_ESCAPES = str.maketrans(
    {",": "\\,", "=": "\\=", " ": "\\ ", "\\": "_"} | {chr(code): "_" for code in [*range(32), 127]}
)


def tag_value(text: str) -> str:
    """A tag's value, escaped. Backslashes and control characters (no identifier has them) become ``_``, at most MAX_TAG characters."""
    return text[:MAX_TAG].translate(_TAG_ESCAPES)


def text_field(text: str) -> str:
    """A string field's value, quoted and escaped; control characters become spaces, at most MAX_TEXT characters."""
    return '"' + text[:MAX_TEXT].translate(_CONTROL).replace("\\", "\\\\").replace('"', '\\"') + '"'


def float_field(value: float) -> str:
    """A float field's value: always with a point or an exponent, so that no server takes it for an integer."""
    return repr(float(value))


def key(measurement: str, tags: Mapping[str, str]) -> str:
    """Measurement and tags: sorted by name (servers index that fastest), empty ones left out."""
    parts = [f",{name}={tag_value(tags[name])}" for name in sorted(tags) if tags[name]]
    return measurement + "".join(parts)


def series(line: str) -> str:
    """The series of a line: measurement and tags, up to the first space that is not escaped."""
    at = line.find(" ")
    while at > 0 and line[at - 1] == "\\":
        at = line.find(" ", at + 1)
    return line if at < 0 else line[:at]


class Table:
    """One resolved configuration, compiled: for each group its points' line prefixes, ready to be written out.

    Built from docs/reference/journal-format.md section 4. Raises ValueError for what is no resolved configuration.
    """

    __slots__ = ("_groups", "_prefixes", "_site", "limits")

    def __init__(self, resolved: Mapping[str, Any]) -> None:
        try:
            self._site = str(resolved["site"]["id"])
            points: Mapping[str, Any] = resolved["points"]
            self._groups: dict[str, list[dict[str, str]]] = {
                group: [self._tags(point, points[point]) for point in body["points"]]
                for group, body in resolved["groups"].items()
            }
            self.limits = _limits(self._site, resolved.get("rules") or ())
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a resolved configuration: {error!r}") from error
        self._prefixes: dict[tuple[str, bool, int], list[str]] = {}

    def _tags(self, point: str, body: Mapping[str, Any]) -> dict[str, str]:
        return {
            "point": point,
            "quantity": str(body.get("quantity") or ""),
            "site": self._site,
            "zone": str(body.get("zone") or ""),
        }

    def prefixes(self, group: str, *, untrusted: bool = False, repeat: int = 0) -> list[str]:
        """``reading,<tags> `` of each point of the group, in the order of a batch's columns. Raises KeyError."""
        found = self._prefixes.get((group, untrusted, repeat))
        if found is None:
            extra = _extra(untrusted=untrusted, repeat=repeat)
            found = [key("reading", tags | extra) + " " for tags in self._groups[group]]
            self._prefixes[group, untrusted, repeat] = found
        return found


def _extra(*, untrusted: bool, repeat: int) -> dict[str, str]:
    return {"clock": "untrusted" if untrusted else "", "repeat": str(repeat) if repeat else ""}


def readings(prefixes: Sequence[str], entry: Mapping[str, Any], epoch: str, time_us: int) -> list[str]:
    """The lines of a batch entry. Raises ValueError when its columns do not fit the group's points."""
    values: list[Any] = entry["values"]
    quality: list[str] | None = entry.get("quality")
    if len(values) != len(prefixes) or (quality is not None and len(quality) != len(values)):
        raise ValueError(f"{len(values)} values for {len(prefixes)} points")
    tail = f'epoch="{epoch}",seq={entry["seq"]}i {time_us}'
    if quality is None:
        good = f',quality="good",{tail}'
        try:
            # × 1.0 makes a float of an integer, and fails for what is no number
            return [f"{prefix}value={value * 1.0!r}{good}" for prefix, value in zip(prefixes, values, strict=True)]
        except TypeError:
            quality = ["good"] * len(values)
    columns = zip(prefixes, values, quality, strict=True)
    return [f"{prefix}{_value(value)}quality={text_field(why)},{tail}" for prefix, value, why in columns]


def _value(value: Any) -> str:
    """``value=…,`` of one reading: "" when there is none, with ``exact`` where a double cannot hold it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"value={float_field(int(value))},exact={text_field(value)},"
    if isinstance(value, int) and abs(value) > _MAX_EXACT:
        return f'value={float_field(value)},exact="{value}",'
    return f"value={float_field(value)},"


#: Of a rule's numbers (decimal text), what a chart draws; and its times, given in seconds.
_LIMIT_NUMBERS = ("low", "high", "clear_low", "clear_high", "per_s")
_LIMIT_TIMES = ("after", "notice_after", "violation_after", "clear_after")
_LIMIT_TEXTS = ("kind", "unit", "limit", "severity", "basis", "verified", "outlet")


def _limits(site: str, rules: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Series → fields of each rule at its point; a rule's fields are one text, whatever the number of its points."""
    found: dict[str, str] = {}
    known: dict[str, str] = {}
    for rule in each_rule(rules):
        fields = [f"{name}={float_field(float(rule[name]))}" for name in _LIMIT_NUMBERS if rule.get(name) is not None]
        fields += [
            f"{name}_s={float_field(rule[f'{name}_us'] / 1e6)}"
            for name in _LIMIT_TIMES
            if rule.get(f"{name}_us") is not None
        ]
        pack = " ".join(str(rule[name]) for name in ("pack", "pack_version") if rule.get(name))
        texts = {"pack": pack, **{name: str(rule.get(name) or "") for name in _LIMIT_TEXTS}}
        fields += [f"{name}={text_field(text)}" for name, text in texts.items() if text]
        tags = {"site": site, "rule": str(rule["id"]), "point": str(rule.get("point") or "")}
        text = ",".join(fields)
        found[key("limit", tags)] = known.setdefault(text, text)
    return found


def limits(now: Table, before: Table | None, epoch: str, seq: int, time_us: int) -> list[str]:
    """The limits in force from a ``config`` entry on, and those of ``before`` that ended with it."""
    tail = f'epoch="{epoch}",seq={seq}i {time_us}'
    lines = [f"{name} {fields + ',' if fields else ''}in_force=true,{tail}" for name, fields in now.limits.items()]
    ended = [name for name in (before.limits if before else ()) if name not in now.limits]
    return lines + [f"{name} in_force=false,{tail}" for name in ended]


def event(entry: Mapping[str, Any], site: str, epoch: str, time_us: int, *, extra: Mapping[str, str]) -> list[str]:
    """The lines of any entry that is neither batch nor config; [] for ticks and for kinds this release does not know."""
    tail = f',epoch="{epoch}",seq={entry["seq"]}i {time_us}'
    match entry["kind"]:
        case "violation":
            tags = {
                "kind": "violation",
                **{name: str(entry.get(name) or "") for name in ("rule", "point", "step", "severity")},
            }
            fields = _violation(entry)
        case "gap":
            tags = {"kind": "gap", "state": str(entry.get("state") or "")}
            fields = _body(entry, "gap", "reason", "slots", "since_slot_us", "until_slot_us", "detail")
            fields += ["groups=" + text_field(",".join(map(str, entry.get("groups") or ())))]
        case "command":
            tags = {"kind": "command", **{name: str(entry.get(name) or "") for name in ("verb", "outcome")}}
            fields = _body(entry, "violation", "by", "reason", "why", "said", "hub", "to", "deadline", "until_us", "note_sha256")
            fields += ["id=" + text_field(str(entry.get("id") or ""))]
        case "mark":
            tags = {"kind": "mark", **{name: str(entry.get(name) or "") for name in ("step", "type")}}
            fields = _body(entry, "by", "reason", "from_wall_us", "until_wall_us", "fired", "scope", "points", "after")
            fields += ["id=" + text_field(str(entry.get("mark") or ""))]
        case "phase":
            tags = {"kind": "phase", **{name: str(entry.get(name) or "") for name in ("step", "phase")}}
            detail = {name: value for name, value in entry.items() if name not in _NO_DETAIL}
            fields = [*_body(entry, "by", "reason"), "detail=" + text_field(orjson.dumps(detail).decode())]
        case "calibration":
            tags = {"kind": "calibration", **{name: str(entry.get(name) or "") for name in ("step", "point")}}
            fields = _body(entry, "by", "reason", "mark", "reading", "reference", "error", "uncertainty", "certificate", "offset", "from_wall_us", "until_wall_us", "due", "within")
        case "correction" | "skipped":
            tags = {"kind": str(entry["kind"])}
            fields = _body(entry, "offset_us", "step_us", "sink", "first", "count", "reason")
        case "event":
            tags = {"kind": str(entry.get("event") or "")}
            detail = {name: value for name, value in entry.items() if name not in _NO_DETAIL}
            fields = ["detail=" + text_field(orjson.dumps(detail).decode())]
        case "snapshot":
            return [_gateway(entry, site, extra) + tail]
        case _:
            return []
    lines = [f"{key('event', {'site': site, **tags, **extra})} {','.join(fields)}{tail}"]
    if entry["kind"] == "event" and tags["kind"].startswith(_GATEWAY_EVENTS):
        lines.append(_gateway(entry, site, extra) + tail)
    return lines


def tags_for(*, untrusted: bool, repeat: int) -> dict[str, str]:
    """The ``extra`` of ``event``: empty tags are left out of the line."""
    return _extra(untrusted=untrusted, repeat=repeat)


#: What persons' steps add to a violation's line.
_HANDLED = (
    "proof", "before", "episode", "returns", "overdue", "into", "holds", "scope", "referred", "title", "assessment", "withdrawal", "follows",
    "deadline", "old_us", "new_us", "command", "marked_minutes",
)  # fmt: skip


def _violation(entry: Mapping[str, Any]) -> list[str]:
    fields = _body(entry, "condition", "handling", "limit", "basis", "verified", "by", "reason", "peak", "minutes")
    fields += _body(entry, *_HANDLED)
    fields += [f"due_{what}_us={us}i" for what, us in sorted((entry.get("due") or {}).items()) if us is not None]
    if opened := entry.get("opened"):
        fields.append("opened=" + text_field(f"{opened['epoch']}/{opened['seq']}"))
    first = entry.get("first") or {}
    for name, field in (("rule_us", "first_rule_us"), ("wall_us", "first_us"), ("value", "first_value")):
        if first.get(name) is not None:
            fields.append(_field(field, first[name]))
    return ["id=" + text_field(str(entry.get("violation") or "")), *fields]


def _gateway(entry: Mapping[str, Any], site: str, extra: Mapping[str, str]) -> str:
    fields = [f"trusted={'true' if entry['trusted'] else 'false'}", "boot=" + text_field(str(entry["boot"]))]
    if entry["kind"] == "snapshot":
        state = entry.get("state") or {}
        fields += [f"{name}={float(len(state[name]))!r}" for name in ("gaps", "violations") if name in state]
    else:
        fields.append("event=" + text_field(str(entry.get("event") or "")))
        fields += [
            f"{tag_value(name)}={float_field(value)}"
            for name, value in entry.items()
            if name not in _NO_DETAIL and isinstance(value, int | float) and not isinstance(value, bool)
        ]
    return f"{key('gateway', {'site': site, **extra})} {','.join(fields)}"


def _body(entry: Mapping[str, Any], *names: str) -> list[str]:
    return [_field(name, entry[name]) for name in names if entry.get(name) is not None]


def _field(name: str, value: Any) -> str:
    """A field by its name's convention: ``*_us`` and counts are integers, other numbers floats, the rest text."""
    if isinstance(value, bool):
        return f"{name}={'true' if value else 'false'}"
    if isinstance(value, int) and (name.endswith("_us") or name in ("slots", "count", "first")):
        return f"{name}={value}i"
    if isinstance(value, int | float):
        return f"{name}={float_field(value)}"
    return f"{name}={text_field(value if isinstance(value, str) else orjson.dumps(value).decode())}"
