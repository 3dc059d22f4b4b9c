"""What one gateway's entries mean so far: latest values, open violations, own quarantine; pure: no store, no clock.

Entries come from the ordered lane in order and from the live lane ahead of it; each is judged by (epoch order, seq),
so the same entry may come twice, and an old epoch's backlog never covers a newer value. The state is JSON-able.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from edge_gateway.reading import BAD_MISSING, INSTRUMENT_EVENTS
from edge_gateway.violations import ENDED, MERGED
from regulator_hub import handling, packs, recorded, shift
from regulator_hub.meaning import Meaning, compile_text
from regulator_hub.outside import whole

#: What could not be interpreted is remembered this far; it stays in the store in any case.
MAX_QUARANTINE = 1000
#: Violations that ended are listed this far back.
MAX_ENDED = 200
#: What became of instruments is listed this far back.
MAX_INSTRUMENTS = 200
#: Of what an instrument tells: so many texts, so many characters each.
MAX_TEXTS, MAX_TEXT = 24, 200
#: Boots whose corrections are remembered.
MAX_CORRECTIONS = 1000
#: Compiled configurations kept in memory.
MAX_MEANINGS = 8


class View:
    """``feed`` takes entries; ``rows``, ``violations`` and ``state`` answer. ``text`` looks a text up (None: lacked)."""

    @classmethod
    def resumed(cls, gateway: str, text: Callable[[str], bytes | None], state: Mapping[str, Any] | None) -> View:
        """As it was kept last, with the texts that came since."""
        view = cls(gateway, text, state)
        for sha256 in [sha256 for sha256 in view.state["waiting"] if text(sha256) is not None]:
            view.text_came(sha256)
        return view

    def __init__(
        self, gateway: str, text: Callable[[str], bytes | None], state: Mapping[str, Any] | None = None
    ) -> None:
        self.gateway = gateway
        self._text = text
        self._meanings: dict[str, Meaning] = {}
        self.order: dict[str, int] = {}  # epoch -> its place among the gateway's epochs
        self.state: dict[str, Any] = {
            "cursors": {},  # epoch -> next seq to interpret from the ordered lane
            "configs": {},  # epoch -> {config_seq: sha256 of the resolved configuration}
            "newest": None,  # [epoch, config_seq] of the newest configuration
            "waiting": {},  # sha256 -> {epoch: first seq that needs it}
            "latest": {},  # point -> reading
            "violations": {},
            "number": 0,  # the highest that a violation had
            "ended": [],
            "commands": {},  # SHA-256 of a signed command -> what the gateway answered
            "marks": {},  # id -> its newest step
            "calibrations": [],  # steps of calibrations, the newest last
            "packs": [],  # changes of rule packs' states, the newest last
            "phases": [],  # steps of phases, the newest last
            "records": {},  # what was put on record of lots, by its id
            "instruments": {},  # "<epoch>/<seq>" -> who was found at a device, or found exchanged
            "corrections": {},  # boot -> offset_us
            "quarantine": {},  # "<epoch>/<seq>" -> why
            "quarantined": 0,
            "unknown": {},  # kind -> how many entries of it, a kind of a later release
        } | dict(state or {})
        self.changed: set[str] = set()  # points whose row changed since the last ``take_changed``

    # --- feeding --------------------------------------------------------------------------------------------------

    def feed(self, epoch: str, seq: int, entry: bytes, *, in_order: bool) -> int | None:
        """Interpret one entry. Returns a ``config_seq`` that it needs and that is not known, else None."""
        if epoch not in self.order:
            self.order[epoch] = len(self.order)
        if in_order:
            self.state["cursors"][epoch] = seq + 1
        try:
            content = orjson.loads(entry)
            if not isinstance(content, dict) or content.get("seq") != seq:
                raise ValueError("its 'seq' is not its place in the record")
            handle = _HANDLERS.get(content.get("kind", ""))
            if handle is None:
                self._unknown(str(content.get("kind", ""))[:64], in_order=in_order)
                return None
            return handle(self, epoch, seq, content)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            if in_order:
                self.quarantine(epoch, seq, f"{type(error).__name__}: {error}"[:300])
            return None

    def quarantine(self, epoch: str, seq: int, why: str) -> None:
        """Note an entry that cannot be interpreted: bounded, the oldest notes give way."""
        noted = self.state["quarantine"]
        place = f"{epoch}/{seq}"
        if place in noted:
            return  # interpreted again after a text came
        noted[place] = why
        if len(noted) > MAX_QUARANTINE:
            del noted[next(iter(noted))]
        self.state["quarantined"] += 1

    def _unknown(self, kind: str, *, in_order: bool) -> None:
        unknown = self.state["unknown"]
        if in_order and (kind in unknown or len(unknown) < 100):
            unknown[kind] = unknown.get(kind, 0) + 1

    def text_came(self, sha256: str) -> dict[str, int]:
        """A text arrived: epoch → seq from where batches must be interpreted again."""
        waiting: dict[str, int] = self.state["waiting"].pop(sha256, {})
        for epoch, seq in waiting.items():
            self.state["cursors"][epoch] = min(seq, self.state["cursors"].get(epoch, seq))
        self.changed.update(self.state["latest"])
        return waiting

    def knows(self, epoch: str, config_seq: int) -> bool:
        """Whether this configuration's entry was seen."""
        return str(config_seq) in self.state["configs"].get(epoch, {})

    def _config(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        self._configured(epoch, seq, content["text"])

    def _snapshot(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        for config in (*(content.get("configs") or ()), content.get("config")):
            if config is not None:
                self._configured(epoch, whole(config["config_seq"]), config["text"])
        # What is open here is told by the entries before; after a skipped range only the snapshot tells it.
        for body in (content.get("state") or {}).get("violations") or ():
            if handling.row(self.state["violations"], (epoch, seq), body) not in self.state["violations"]:
                self._violation(epoch, seq, {"step": "", **body, "wall_us": body.get("wall_us", content["wall_us"])})

    def _configured(self, epoch: str, config_seq: int, sha256: str) -> None:
        if not isinstance(sha256, str):
            raise ValueError("'text' is no hash")
        self.state["configs"].setdefault(epoch, {})[str(config_seq)] = sha256
        if self._at_least(epoch, config_seq, self.state["newest"]):
            self.state["newest"] = [epoch, config_seq]
            self.changed.update(self.state["latest"])

    def _batch(self, epoch: str, seq: int, content: Mapping[str, Any]) -> int | None:
        config_seq = whole(content["config_seq"])
        sha256 = self.state["configs"].get(epoch, {}).get(str(config_seq))
        if sha256 is None:
            if self.state["cursors"].get(epoch, 0) > seq:
                raise ValueError(f"its configuration {config_seq} is not in the record")
            return config_seq
        meaning = self.meaning(sha256)
        if meaning is None:
            first = self.state["waiting"].setdefault(sha256, {})
            first[epoch] = min(seq, first.get(epoch, seq))
            return None
        points, values = meaning.groups[content["group"]], content["values"]
        quality = content.get("quality") or ["good"] * len(values)
        if not len(points) == len(values) == len(quality):
            raise ValueError(f"{len(values)} values for {len(points)} points")
        observed_us = self.observed_us(content)
        for point, value, why in zip(points, values, quality, strict=True):
            self._reading(point, epoch, seq, (value, why, observed_us), content)
        return None

    def _reading(
        self, point: str, epoch: str, seq: int, reading: tuple[Any, str, int], content: Mapping[str, Any]
    ) -> None:
        before = self.state["latest"].get(point)
        if before is not None and (
            not self._at_least(epoch, seq, (before["epoch"], before["seq"])) or reading[1] == BAD_MISSING
        ):
            return
        value, quality, observed_us = reading
        latest = {"value": value, "quality": quality, "observed_us": observed_us, "epoch": epoch, "seq": seq}
        if not content.get("trusted", True):
            latest |= {"boot": str(content.get("boot")), "mono_us": whole(content["mono_us"]), "untrusted": True}
        self.state["latest"][point] = latest
        self.changed.add(point)

    def observed_us(self, content: Mapping[str, Any]) -> int:
        """When a batch was observed (µs UTC): its message's own time, else wall time, corrected if that came later."""
        own = (content.get("message") or {}).get("time_us")
        if own is not None:
            return whole(own)
        offset = None if content.get("trusted", True) else self.state["corrections"].get(str(content.get("boot")))
        return whole(content["wall_us"]) if offset is None else whole(whole(content["mono_us"]) + offset)

    def _correction(self, _epoch: str, _seq: int, content: Mapping[str, Any]) -> None:
        boot, offset = str(content["boot"]), whole(content["offset_us"])
        corrections = self.state["corrections"]
        corrections[boot] = offset
        if len(corrections) > MAX_CORRECTIONS:
            del corrections[next(iter(corrections))]
        for point, latest in self.state["latest"].items():
            if latest.get("untrusted") and latest.get("boot") == boot:
                latest["observed_us"] = whole(latest["mono_us"] + offset)
                self.changed.add(point)

    def _violation(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        name = str(content["violation"])
        row = handling.row(self.state["violations"], (epoch, seq), content)
        before = self.state["violations"].get(row)
        if before is not None and not self._at_least(epoch, seq, (before["epoch"], before["seq"])):
            before["steps"] = handling.log(before.get("steps", []), (epoch, seq), content, self.order)  # a live copy overtook it
            return
        number = name.rpartition("-")[2]
        if number.isdecimal() and len(number) <= 15:
            self.state["number"] = max(self.state["number"], int(number))
        step: dict[str, Any] = {key: str(content[key]) for key in ("rule", "point", "step", "condition", "handling")}
        step |= {key: str(content.get(key) or "") for key in ("limit", "severity", "basis", "verified")}
        first = content.get("first")
        step |= {
            "first": first if isinstance(first, dict) else {},
            "peak": content.get("peak"),
            "minutes": content.get("minutes"),
        }
        step |= handling.told(content)
        step["born"] = handling.born(before, (epoch, seq), content)
        step["steps"] = handling.log((before or {}).get("steps", []), (epoch, seq), content, self.order)
        step |= {"violation": name, "epoch": epoch, "seq": seq, "step_us": whole(content["wall_us"])}
        step["violated"] = bool(before and before["violated"]) or content.get("step") == "violated"
        step["violated"] = step["violated"] or content.get("level") == "violation"
        held = content.get("handling") == MERGED and bool(content.get("into"))  # part of its cause: it may return
        ended = (content.get("handling") in ENDED and not held) or (content.get("step") == "cancelled" and not step["violated"])
        step["ended"] = False
        if not ended and row in self.state["ended"]:
            self.state["ended"].remove(row)
        self.state["violations"][row] = step
        self.changed.add(str(step["point"]))
        if ended:
            self._ended(row)

    def _ended(self, row: str) -> None:
        """It is over, and with it what it held and what has recovered. Listed so far back."""
        known = self.state["violations"]
        known[row]["ended"] = True
        if row not in self.state["ended"]:
            self.state["ended"].append(row)
        for each in handling.over_with(known, row):
            self._ended(each)
        for old in self.state["ended"][:-MAX_ENDED]:
            known.pop(old, None)
        del self.state["ended"][:-MAX_ENDED]

    def _command(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        name, answer = handling.answer(epoch, seq, content)
        known = self.state["commands"]
        before = known.get(name)
        if before is not None and not self._at_least(epoch, seq, (before["epoch"], before["seq"])):
            return
        known.pop(name, None)
        known[name] = answer
        if len(known) > handling.MAX_ANSWERS:
            del known[next(iter(known))]

    def _mark(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        before = self.state["marks"].get(content.get("mark"))
        if before is None or self._at_least(epoch, seq, (before["epoch"], before["seq"])):
            shift.marked(self.state["marks"], (epoch, seq), content)

    def _phase(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        found = shift.phased(self.state["phases"], (epoch, seq), content)
        self.state["phases"] = sorted(found, key=lambda each: (self.order.get(each["epoch"], -1), each["seq"]))

    def _calibration(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        found = shift.calibrated(self.state["calibrations"], (epoch, seq), content)
        self.state["calibrations"] = sorted(found, key=lambda each: (self.order.get(each["epoch"], -1), each["seq"]))

    def answered(self, note_sha256: str) -> bool:
        """Whether the record that is held in order says for good what became of a command."""
        answer = self.state["commands"].get(note_sha256)
        return answer is not None and answer["outcome"] != "deferred" and answer["seq"] < self.state["cursors"].get(answer["epoch"], 0)

    def _event(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        """Who measures, and which packs judge; other events change nothing here."""
        event = str(content.get("event"))
        if event in (packs.CHANGED, packs.KEPT):
            found = packs.changed(self.state["packs"], (epoch, seq), content)
            self.state["packs"] = sorted(found, key=lambda each: (self.order.get(each["epoch"], -1), each["seq"]))
        if event not in INSTRUMENT_EVENTS:
            return
        noted = self.state["instruments"]
        told_of = {"device": str(content["device"])[:MAX_TEXT], "event": event, "wall_us": whole(content["wall_us"])}
        told = {key: _texts(content[key]) for key in ("old", "new", "identity") if key in content}
        noted[f"{epoch}/{seq}"] = told_of | told
        if len(noted) > MAX_INSTRUMENTS:
            del noted[next(iter(noted))]

    def _at_least(self, epoch: str, seq: int, other: Any) -> bool:
        if other is None:
            return True
        return (self.order.get(epoch, -1), seq) >= (self.order.get(other[0], -1), other[1])

    def _nothing(self, _epoch: str, _seq: int, _content: Mapping[str, Any]) -> None:
        """Kinds that change nothing on a page."""

    # --- answering ------------------------------------------------------------------------------------------------

    def meaning(self, sha256: str) -> Meaning | None:
        """A configuration's meaning, None while its text is lacked. Raises ValueError for a text that is none."""
        found = self._meanings.get(sha256)
        if found is None:
            text = self._text(sha256)
            if text is None:
                return None
            found = compile_text(text)
            self._meanings[sha256] = found
            while len(self._meanings) > MAX_MEANINGS:
                del self._meanings[next(iter(self._meanings))]
        return found

    def current(self) -> Meaning | None:
        """The newest configuration's meaning, None while there is none or its text is lacked or no configuration."""
        newest = self.state["newest"]
        if newest is None:
            return None
        try:
            return self.meaning(self.state["configs"][newest[0]][str(newest[1])])
        except ValueError:
            return None

    def _record(self, epoch: str, seq: int, content: Mapping[str, Any]) -> None:
        recorded.recorded(self.state["records"], (epoch, seq), content)

    def take_changed(self) -> set[str]:
        """Points whose rows changed since the last call."""
        changed, self.changed = self.changed, set()
        return changed


def _texts(told: Any) -> dict[str, str]:
    """A table of texts, bounded. Raises AttributeError for what is no table."""
    return {str(key)[:MAX_TEXT]: str(text)[:MAX_TEXT] for key, text in list(told.items())[:MAX_TEXTS]}


_HANDLERS: dict[str, Callable[[View, str, int, dict[str, Any]], int | None]] = {
    "config": View._config,
    "snapshot": View._snapshot,
    "batch": View._batch,
    "correction": View._correction,
    "violation": View._violation,
    "event": View._event,
    "command": View._command,
    "mark": View._mark,
    "phase": View._phase,
    "record": View._record,
    "calibration": View._calibration,
    **dict.fromkeys(("gap", "tick", "skipped"), View._nothing),
}
