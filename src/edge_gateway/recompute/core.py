"""Goes through a record's entries in order and derives each value again; knows no file and no database.

Readings come from a batch's raw bytes and the configuration that it names. A derived point's readings come from its inputs as
they are journaled, and must stand right behind them. The first difference is named; all are counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from edge_gateway.reading import Value
from edge_gateway.recompute.base import NO_CONFIG, NOT_TOLD, UNREAD, Derived, Kind, Unknown, reading_of
from edge_gateway.recompute.configured import DERIVED, Configured, Text, Undecided
from edge_gateway.recompute.derived import Following
from edge_gateway.recompute.local import Memory
from edge_gateway.recompute.outcomes import Judged, Outcomes
from edge_gateway.recompute.registers import NO_BYTES

#: Configurations that are held ready: batches of an older one may come for a short while.
_CONFIGS_HELD = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """What was journaled is not what comes of the raw bytes. ``point`` may also name another key of the entry."""

    epoch: str
    seq: int
    point: str
    journaled: Any
    derived: Any


@dataclass(slots=True)
class Findings:
    """``same``: readings by how they were derived; ``unread``: readings that no bytes came for; ``undecided``: by reason."""

    same: Counter[str] = field(default_factory=Counter)
    differs: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    unread: int = 0
    entries: int = 0
    first: Difference | None = None
    #: what came of rules
    judged: Judged = field(default_factory=Judged)
    #: where the first undecided reading stands: (epoch, seq, why)
    first_undecided: tuple[str, int, str] | None = None


class Recompute:
    """``take`` each entry, in order, epoch by epoch; ``findings`` has what was found so far."""

    def __init__(self, read: Text, told: Callable[[Difference], None] = lambda _: None) -> None:
        self.findings = Findings()
        self._read, self._told = read, told
        self._memory: Memory = {}
        self._configs: OrderedDict[int, Configured | Undecided] = OrderedDict()
        self._loaded: dict[tuple[Any, ...], Configured] = {}
        self._following = Following()
        self._epoch = ""
        self._outcomes = Outcomes(self._differs)
        self.findings.judged = self._outcomes.judged

    def take(self, epoch: str, entry: Mapping[str, Any]) -> None:
        """The next entry, decoded."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._following.begins()
            self._outcomes.begins(epoch)
        self.findings.entries += 1
        match entry["kind"]:
            case "batch":
                self._batch(entry)
            case "snapshot":
                self._snapshot(entry)
            case "config":
                config = self._config(int(entry["seq"]), str(entry["text"]), entry["texts"])
                if isinstance(config, Configured):
                    self._following.use(config.resolved)
                    self._outcomes.config(entry, config.resolved)
                else:
                    self._following.lost()
                    self._outcomes.config(entry, None, config.why)
            case "event" if entry.get("event") == "started":
                self._following.run_began(damaged="damaged" in entry)
        if entry["kind"] not in ("snapshot", "config"):
            state = self._state(entry) if "state_text" in entry else None
            self._outcomes.take(entry if state is None else {**entry, "state": state})

    def end(self) -> None:
        """That was the last entry."""
        self._outcomes.end()

    # --- configurations and state ------------------------------------------------------------------------------------

    def _config(self, config_seq: int, text: str, texts: Mapping[str, str]) -> Configured | Undecided:
        key = (text, tuple(sorted(texts.items())))
        config: Configured | Undecided | None = self._loaded.get(key)
        if config is None:
            try:
                config = Configured(text, texts, self._read, self._memory)
                if len(self._loaded) >= _CONFIGS_HELD:
                    self._loaded.clear()
                self._loaded[key] = config
            except Undecided as undecided:
                config = undecided
        self._configs.pop(config_seq, None)
        self._configs[config_seq] = config
        if len(self._configs) > _CONFIGS_HELD:
            self._configs.popitem(last=False)
        return config

    def _snapshot(self, entry: Mapping[str, Any]) -> None:
        """A snapshot names the configuration in force, and says what goes on over it: that is derived too."""
        config = None
        if named := entry.get("config"):
            config = self._config(int(named["config_seq"]), str(named["text"]), named["texts"])
        state = self._state(entry)
        self._outcomes.snapshot(entry, state, config.resolved if isinstance(config, Configured) else None)
        if state is None:
            self._following.lost()
            return
        for device, kept in (state.get("kept") or {}).items():
            self._memory.setdefault(device, kept)
        resolved = config.resolved if isinstance(config, Configured) else None
        told = state.get("sums") or {}
        derived = self._following.snapshot(told, resolved, first=entry["seq"] == 0)
        if derived is not None:
            self._differs(entry, "sums", told, derived, "snapshots")

    def _state(self, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        if "state_text" not in entry:
            return entry.get("state") or {}
        try:
            state: dict[str, Any] = orjson.loads(self._read(str(entry["state_text"])))
        except (KeyError, ValueError):
            return None
        return state

    # --- batches -------------------------------------------------------------------------------------------------------

    def _batch(self, entry: Mapping[str, Any]) -> None:
        config = self._configs.get(int(entry["config_seq"]))
        if not isinstance(config, Configured):
            self._undecided(entry, NO_CONFIG if config is None else config.why, len(entry["values"]))
            self._following.lost()
            return
        group = config.groups.get(entry["group"])
        if group is None or len(entry["values"]) != len(group["points"]):
            self._differs(entry, str(entry["group"]), len(entry["values"]), None if group is None else len(group["points"]), "batches")
            return
        points = tuple(group["points"])
        if group["device"] == DERIVED:
            self._derived(entry, points[0], config)
        else:
            if missing := self._following.missing():
                self._differs(entry, missing, None, "a derived reading", DERIVED)
            self._measured(entry, points, config)
        values = [reading_of(entry, column)[0] for column in range(len(points))]
        self._following.note(entry, points, values)

    def _measured(self, entry: Mapping[str, Any], points: tuple[str, ...], config: Configured) -> None:
        try:
            kind = config.kind(str(entry["group"]))
            found = kind.derive(entry)
        except Undecided as undecided:
            self._undecided(entry, undecided.why, len(points))
            return
        same = 0
        for column, derived in enumerate(found):
            if isinstance(derived, tuple) and reading_of(entry, column) == derived:
                same += 1
            else:
                self._look(entry, points[column], column, (kind, derived, config.complete))
        self.findings.same[kind.name] += same
        if (more := kind.also(entry)) is not None:
            self._differs(entry, more[0], more[1], more[2], kind.name)
        if "keep" in entry:
            self._memory[str(config.groups[entry["group"]]["device"])] = entry["keep"]

    def _look(self, entry: Mapping[str, Any], point: str, column: int, what: tuple[Kind, Derived, bool]) -> None:
        """What is not simply the same: without bytes, undecided, or different."""
        kind, derived, complete = what
        value, quality = reading_of(entry, column)
        if isinstance(derived, Unknown):
            self._undecided(entry, derived.why, 1)
        elif derived is UNREAD:
            if value is None and (quality in NO_BYTES or (kind.name in ("kernel-files", "counters") and quality.startswith("bad:"))):
                self.findings.unread += 1
            elif not complete and kind.name == "kernel-files":
                self._undecided(entry, NOT_TOLD, 1)
            else:
                self._differs(entry, point, _shown((value, quality)), None, kind.name)
        elif why := kind.doubt(entry, column):
            self._undecided(entry, why, 1)
        else:
            self._differs(entry, point, _shown((value, quality)), _shown(derived), kind.name)

    def _derived(self, entry: Mapping[str, Any], point: str, config: Configured) -> None:
        told = reading_of(entry, 0)
        expected = self._following.expected(str(entry["group"]))
        if expected == told:
            self.findings.same[DERIVED] += 1
        elif not config.complete:
            self._undecided(entry, NOT_TOLD, 1)
        elif isinstance(expected, Unknown):
            self._undecided(entry, expected.why, 1)
        else:
            self._differs(entry, point, _shown(told), None if expected is None else _shown(expected), DERIVED)

    # --- what is found -------------------------------------------------------------------------------------------------

    def _differs(self, entry: Mapping[str, Any], point: str, journaled: Any, derived: Any, kind: str) -> None:
        found = Difference(self._epoch, int(entry["seq"]), point, journaled, derived)
        self.findings.differs[kind] += 1
        self.findings.first = self.findings.first or found
        self._told(found)

    def _undecided(self, entry: Mapping[str, Any], why: str, readings: int) -> None:
        self.findings.undecided[why] += readings
        self.findings.first_undecided = self.findings.first_undecided or (self._epoch, int(entry["seq"]), why)


def _shown(reading: Any) -> dict[str, Value | str] | None:
    return {"value": reading[0], "quality": reading[1]} if isinstance(reading, tuple) else None
