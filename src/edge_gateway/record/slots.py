"""Slot accounting of a record: every expected slot of every poll group is a batch, lies in a gap with a reason, or is unexplained; pure.

Entries in, one pass, memory by the number of groups. Slots are counted on the monotonic clock of their boot, so no step of
the wall clock makes or loses one; ``Teller`` is given wall times, by the offsets that the caller knows (corrections come later
in the record than what they correct). A slot stands for the time until the next one, at most its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

#: What may still be under way when a record ends, or a group goes (µs): the slot that is being read, and the entry about it.
UNDER_WAY_US = 60_000_000
#: A group that comes begins within this of its configuration (µs, times the clock's speed): how long a source may sleep.
BEGINS_US = 1_000_000

#: Wall time (µs) less monotonic time of an entry, as well as anybody knows: (epoch, entry) -> µs.
Offset = Callable[[str, Mapping[str, Any]], int]


@dataclass(frozen=True, slots=True)
class Whose:
    """A poll group as it was configured then."""

    group: str
    points: tuple[str, ...]


class Teller(Protocol):
    """Who is told. Times are wall times (µs), spans of one group come in order and do not overlap within a boot."""

    def batch(self, whose: Whose, span: tuple[int, int], quality: Sequence[str] | None) -> None:
        """A slot that is a batch: ``quality`` of its points, None when all are good."""
        ...

    def gap(self, whose: Whose, span: tuple[int, int], slots: int, reason: str) -> None:
        """Slots without batches, and why."""
        ...

    def unexplained(self, whose: Whose, span: tuple[int, int], slots: int) -> None:
        """Slots that nothing in the record speaks of."""
        ...

    def doubled(self, whose: Whose, at_us: int) -> None:
        """A slot that has a batch already, or lies in a gap."""
        ...


@dataclass(frozen=True, slots=True)
class _Last:
    """What came last of a group and is told once its end is known: a batch (``reason`` empty), or a gap that was closed."""

    since_us: int  # wall
    since_mono_us: int
    until_mono_us: int
    reason: str = ""
    quality: Sequence[str] | None = None
    #: a gap over a stop: the slot that comes first may lie before its end, where the sources were ready already
    stop: bool = False
    #: a gap over a boot: where it ended by the wall; its beginning is on another monotonic clock
    until_us: int | None = None
    #: why nothing stands between its end and what comes next, where that is known
    then: str = ""


@dataclass(frozen=True, slots=True)
class _Open:
    gap: str
    reason: str
    since_us: int  # wall
    since_mono_us: int
    boot: str
    #: what stands on if no slot turns out to lie in it: over a short stop, or where another grid began
    before: _Last | None = None


@dataclass(slots=True)
class _Group:
    id: str
    interval_us: int
    #: True: messages, whose slots are when they come, and at the latest an interval after the one before
    told: bool
    whose: Whose
    next_us: int | None = None
    bound_us: int = 0
    last: _Last | None = None
    open: _Open | None = None
    #: True: its slots begin anew on another grid, by a configuration
    anew: bool = False
    ended_us: int | None = None
    excuse: str = ""

    def after(self, until_us: int) -> int:
        """The first slot at or after an instant."""
        return until_us + self.interval_us if self.told else -(-until_us // self.interval_us) * self.interval_us

    def count(self, since_us: int, until_us: int) -> int:
        """Slots in a stretch, of messages one that begins with one."""
        if self.told:
            return max(0, -((since_us - until_us) // self.interval_us))
        return max(0, -(-until_us // self.interval_us) - -(-since_us // self.interval_us))


@dataclass(slots=True)
class _Gap:
    groups: tuple[str, ...]
    boot: str
    over_a_stop: bool


@dataclass(slots=True)
class Accounts:
    """``take`` each entry in order, ``finish`` once. ``config``: a resolved configuration by its text's hash; KeyError if it is gone."""

    teller: Teller
    offset: Offset
    config: Callable[[str], Mapping[str, Any]]
    #: slots that were due when the record ended, and may still have been under way
    pending: int = 0
    _groups: dict[str, _Group] = field(default_factory=dict)
    _gaps: dict[str, _Gap] = field(default_factory=dict)
    _offsets: dict[str, int] = field(default_factory=dict)
    _epoch: str = ""
    _boot: str = ""
    _mono_us: int = 0

    def take(self, epoch: str, entry: Mapping[str, Any]) -> None:
        """The next entry, decoded."""
        kind, boot = entry["kind"], str(entry["boot"])
        if epoch != self._epoch:
            self._begin(entry, anew=bool(self._epoch))
            self._epoch = epoch
        self._offsets[boot] = self.offset(epoch, entry)
        self._boot, self._mono_us = boot, int(entry["mono_us"])
        if kind == "batch":
            if "slot_us" in entry:
                self._batch(entry)
        elif kind == "gap":
            if entry["state"] == "open":
                self._opened(entry)
            else:
                self._closed(entry)
        elif kind == "config":
            self._configured(str(entry["text"]), int(entry["mono_us"]))

    def finish(self) -> None:
        """The record ends here."""
        for group in list(self._groups.values()):
            end_us = min(self._mono_us, group.ended_us) if group.ended_us is not None else self._mono_us
            if (gap := group.open) is not None:
                if gap.before is not None:
                    group.last = gap.before
                    self._settle(group, gap.since_mono_us)
                until_us = self._wall(gap.boot, self._mono_us) if gap.boot == self._boot else self._wall(self._boot, self._mono_us)
                self._tell_gap(group, gap, max(until_us, gap.since_us), self._mono_us)
                continue
            self._settle(group, max(end_us, group.last.since_mono_us) if group.last else end_us)
            if group.next_us is None or group.next_us > end_us:
                continue
            known_us = end_us - UNDER_WAY_US - group.interval_us
            if known_us > group.next_us:
                self._unexplained(group, group.next_us, known_us)
            self.pending += group.count(max(group.next_us, known_us), end_us)

    # --- where it begins, and what is expected -------------------------------------------------------------------------

    def _begin(self, entry: Mapping[str, Any], *, anew: bool) -> None:
        """The first entry of an epoch, or of what is kept of the record: the snapshot says what goes on."""
        if anew:
            reason = str((entry.get("previous") or {}).get("reason") or "damage")
            for group in self._groups.values():
                group.excuse = reason
            return
        named = entry.get("config")
        if entry["kind"] != "snapshot" or not named:
            return
        state, boot = entry.get("state") or {}, str(entry["boot"])
        self._offsets[boot] = self.offset(self._epoch, entry)
        self._configured(str(named["text"]), int(entry["mono_us"]))
        for id_, slot_us in (state.get("slots") or {}).items():
            if id_ in self._groups:
                group = self._groups[id_]
                group.next_us, group.anew = group.after(int(slot_us) + (not group.told)), True
        for gap, body in (state.get("gaps") or {}).items():
            self._gaps[gap] = _Gap(tuple(body["groups"]), boot, "since_boot" in body)
            for group in self._of(body["groups"]):
                since_us = int(body["since_slot_us"])
                group.open = _Open(gap, str(body["reason"]), self._wall(boot, since_us), since_us, boot)

    def _configured(self, text: str, mono_us: int) -> None:
        try:
            resolved = self.config(text)
        except KeyError:
            return  # what is expected stays as it was
        speed = float(resolved.get("clock", {}).get("speed", 1.0))
        wanted = _groups(resolved)
        for id_, group in self._groups.items():
            if id_ not in wanted and group.ended_us is None:
                group.ended_us = mono_us
        for id_, new in wanted.items():
            old = self._groups.get(id_)
            if old is None or old.ended_us is not None or old.told != new.told:  # on a bus of another kind its slots are others
                new.bound_us = new.after(mono_us + int(BEGINS_US * speed) + (UNDER_WAY_US if new.told else 0))
                if old is not None:  # it was away: what is left of it is told first
                    old.ended_us = mono_us if old.ended_us is None else old.ended_us
                    self._retire(old)
                self._groups[id_] = new
            else:
                old.anew = old.anew or (old.interval_us, old.whose) != (new.interval_us, new.whose)
                old.interval_us, old.whose = new.interval_us, new.whose

    def _retire(self, group: _Group) -> None:
        end_us = group.ended_us or 0
        if group.open is not None:
            self._close(group, max(end_us, group.open.since_mono_us), None)
        self._settle(group, max(end_us, group.last.since_mono_us) if group.last else end_us)
        if group.next_us is not None and group.open is None and end_us - UNDER_WAY_US > group.next_us:
            self._unexplained(group, group.next_us, end_us)
        self._groups.pop(group.id, None)

    def _of(self, names: Iterable[str]) -> list[_Group]:
        names = list(names)
        if names == ["*"]:
            return list(self._groups.values())
        return [self._groups[name] for name in names if name in self._groups]

    # --- what comes ----------------------------------------------------------------------------------------------------

    def _batch(self, entry: Mapping[str, Any]) -> None:
        group = self._groups.get(str(entry["group"]))
        if group is None:
            return
        slot_us = int(entry["slot_us"])
        if group.open is not None:
            self._close(group, slot_us, None)
        if not self._event(group, slot_us, batch=True):
            self.teller.doubled(group.whose, self._wall(self._boot, slot_us))
            return
        until_us = slot_us + group.interval_us
        group.last = _Last(self._wall(self._boot, slot_us), slot_us, until_us, quality=entry.get("quality"))
        group.next_us = until_us

    def _event(self, group: _Group, mono_us: int, *, batch: bool) -> bool:
        """A slot or a gap begins: what came before it is told, and what is missing. False: this slot is accounted for already."""
        expected, last = group.next_us, group.last
        if expected is not None and mono_us < expected and not group.anew:
            late = last is not None and last.stop and (last.until_us is not None or mono_us >= last.since_mono_us)
            if batch and not group.told and not late:
                return False
        self._settle(group, mono_us)
        if expected is None:
            if mono_us > group.bound_us:
                self._unexplained(group, group.bound_us, mono_us)
        elif mono_us > expected:
            self._unexplained(group, expected, mono_us)
        group.anew, group.excuse = False, ""
        return True

    def _settle(self, group: _Group, mono_us: int) -> None:
        """Tell what came last, now that something begins at ``mono_us``."""
        last, group.last = group.last, None
        if last is None:
            return
        if last.reason:
            self._settle_gap(group, last, mono_us)
            return
        span = min(last.until_mono_us, max(mono_us, last.since_mono_us)) - last.since_mono_us
        self.teller.batch(group.whose, (last.since_us, last.since_us + span), last.quality)
        if last.then and mono_us > last.until_mono_us:
            self._gap(group, (last.since_us + span, last.since_us + mono_us - last.since_mono_us), group.count(last.until_mono_us, mono_us), last.then)

    def _settle_gap(self, group: _Group, last: _Last, mono_us: int) -> None:
        """A gap ends where the next slot is; of messages also where the first one comes after a stop."""
        end_us = last.until_mono_us if group.told else group.after(last.until_mono_us)
        if not last.stop and not group.told:  # on another grid, what comes next may be before this grid's slot
            end_us = max(last.since_mono_us, min(end_us, mono_us))
        if last.stop and (mono_us < end_us or (group.told and mono_us <= end_us + UNDER_WAY_US + group.interval_us)):
            end_us = mono_us
        if last.until_us is None:
            slots = group.count(last.since_mono_us, end_us)
            self._gap(group, (last.since_us, last.since_us + end_us - last.since_mono_us), slots, last.reason)
            return
        until_us = last.until_us + end_us - last.until_mono_us
        slots = round(max(0, until_us - last.since_us) / group.interval_us)
        self._gap(group, (last.since_us, max(last.since_us, until_us)), slots, last.reason)

    def _opened(self, entry: Mapping[str, Any]) -> None:
        over_a_stop = "since_boot" in entry
        boot = str(entry.get("since_boot", entry["boot"]))
        names = tuple(map(str, entry["groups"]))
        self._gaps[str(entry["gap"])] = _Gap(names, boot, over_a_stop)
        since_us = int(entry["since_slot_us"])
        if over_a_stop and boot not in self._offsets:
            self._offsets[boot] = int(entry["since_wall_us"]) - since_us
        for group in self._of(names):
            if over_a_stop and group.ended_us is not None:
                self._retire(group)
                continue
            if group.open is None:
                self._open(group, entry, since_us, boot)

    def _open(self, group: _Group, entry: Mapping[str, Any], since_us: int, boot: str) -> None:
        """The gap begins with the first slot that it can mean: what came before stands for its own time."""
        last, before = group.last, None
        begins_us = since_us if group.next_us is None or group.anew else max(since_us, group.next_us)
        if group.told and last is not None and last.reason:
            begins_us = max(since_us, last.until_mono_us)
        may_be_none = group.anew or "since_boot" in entry or (group.told and entry["reason"] == "reconfigured")
        if may_be_none and last is not None and not last.reason and boot == self._boot:
            group.last, before = None, last
        else:
            self._event_of(group, begins_us, boot)
        group.open = _Open(str(entry["gap"]), str(entry["reason"]), self._wall(boot, begins_us), begins_us, boot, before)

    def _event_of(self, group: _Group, mono_us: int, boot: str) -> None:
        """An event on the clock of ``boot``, which may be the last one."""
        now, self._boot = self._boot, boot
        try:
            self._event(group, mono_us, batch=False)
        finally:
            self._boot = now

    def _closed(self, entry: Mapping[str, Any]) -> None:
        gap = self._gaps.pop(str(entry["gap"]), None)
        if gap is None:
            return
        for group in self._of(gap.groups):
            if group.open is not None and group.open.gap == entry["gap"]:
                self._close(group, int(entry["until_slot_us"]), gap)

    def _close(self, group: _Group, until_us: int, gap: _Gap | None) -> None:
        """``until_us`` is on the clock of the boot that the gap was in; of a stop's gap, on this boot's."""
        opened = group.open
        assert opened is not None
        group.open = None
        if opened.boot == self._boot and until_us <= opened.since_mono_us:  # no slot lies in it
            if opened.before is not None and group.told:
                group.last = replace(opened.before, then=opened.reason)
                group.next_us = group.after(until_us) + UNDER_WAY_US
            elif opened.before is not None:
                group.last = opened.before
            return
        if opened.before is not None:
            group.last = opened.before
            self._event_of(group, opened.since_mono_us, opened.boot)
        over_a_boot = gap is not None and gap.over_a_stop and opened.boot != self._boot
        # One that was open when the last run ended has both its ends on that run's clock; the stop's gap goes on from there.
        stop, wall_us = gap is not None and gap.over_a_stop, self._wall(self._boot, until_us) if over_a_boot else None
        group.last = _Last(opened.since_us, opened.since_mono_us, until_us, opened.reason, stop=stop, until_us=wall_us)
        group.next_us = group.after(until_us)
        if group.told and gap is not None and gap.over_a_stop:
            group.next_us += UNDER_WAY_US  # its silence is measured from when its source began

    # --- telling ---------------------------------------------------------------------------------------------------------

    def _tell_gap(self, group: _Group, gap: _Open, until_us: int, until_mono_us: int) -> None:
        same = gap.boot == self._boot or until_us - gap.since_us == until_mono_us - gap.since_mono_us
        slots = group.count(gap.since_mono_us, until_mono_us) if same else round((until_us - gap.since_us) / group.interval_us)
        self._gap(group, (gap.since_us, max(gap.since_us, until_us)), slots, gap.reason)

    def _gap(self, group: _Group, span: tuple[int, int], slots: int, reason: str) -> None:
        if span[1] > span[0] or slots:
            self.teller.gap(group.whose, span, slots, reason)

    def _unexplained(self, group: _Group, since_us: int, until_us: int) -> None:
        span, slots = (self._wall(self._boot, since_us), self._wall(self._boot, until_us)), group.count(since_us, until_us)
        if group.excuse or not slots:  # no slot: its interval is another one from here on
            self.teller.gap(group.whose, span, slots, group.excuse or "reconfigured")
        else:
            self.teller.unexplained(group.whose, span, slots)

    def _wall(self, boot: str, mono_us: int) -> int:
        return mono_us + self._offsets.get(boot, 0)


def _groups(resolved: Mapping[str, Any]) -> dict[str, _Group]:
    """The groups that have slots."""
    devices, buses = resolved.get("devices", {}), resolved.get("buses", {})
    groups: dict[str, Any] = resolved.get("groups", {})
    told = {
        id_: buses.get(devices.get(body["device"], {}).get("bus", ""), {}).get("kind") == "mqtt" for id_, body in groups.items()
    }
    of = {point: id_ for id_, body in groups.items() for point in body["points"]}
    found = {}
    for id_, body in groups.items():
        if not int(body.get("interval_us", 0)):
            continue
        cause = id_
        while (point := resolved["points"].get(groups[cause]["points"][0], {})).get("derived"):
            cause = of[point["derived"]["of"][0]]
        found[id_] = _Group(id_, int(body["interval_us"]), told[cause], Whose(id_, tuple(body["points"])))
    return found
