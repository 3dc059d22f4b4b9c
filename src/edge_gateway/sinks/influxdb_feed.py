"""From journal entries to lines, in order: which configuration, which time, which repeat; knows no server.

What comes out for an entry depends on the record alone (the entry, its configuration, its boot's correction, the few
entries before it), never on when or how often it is asked: a redelivery overwrites what it repeats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import Position, Reader
from edge_gateway.reading import UNCERTAIN_FUTURE
from edge_gateway.record.entry import decode
from edge_gateway.sinks.influxdb_time import TrustedTime
from edge_gateway.wire import line

#: How many entries back a reading of the same series in the same microsecond is looked for. Within a boot the record's
#: entries are in time order, so equal times are neighbours; after a clock was set back a chance hit remains
#: (about 1e-7 a reading at 10 s), and there InfluxDB keeps the later one while the journal keeps both.
LOOK_BACK = 16
#: Values of the tag ``repeat``: two entries of the same microsecond share one only if their seqs are a multiple apart.
REPEATS = 1000
_MAX_TABLES = 64


class Undecodable(Exception):
    """An entry that cannot be turned into lines: whose configuration is missing or does not fit. ``why`` says what."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Held(Exception):
    """The entry must wait; ``why`` says for what."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Feed:
    """Makes lines of entries that are asked for in order; going back is allowed and costs a short re-read."""

    def __init__(self, site: str, time: TrustedTime) -> None:
        self._site = site
        self._time = time
        self._tables: dict[tuple[str, int], line.Table] = {}
        self._recent: deque[tuple[Any, ...]] = deque(maxlen=LOOK_BACK)
        self._config: line.Table | None = None  # in force before the next entry, as far as the look back tells
        self._newest_us = 0  # no entry in ``_recent`` has a later time
        self._next: tuple[str, int] | None = None

    async def go_to(self, position: Position, reader: Reader) -> None:
        """The next entry asked for is this one."""
        if self._next == (position.epoch, position.seq):
            return
        self._recent.clear()
        self._newest_us = 0
        self._config = None
        self._next = position.epoch, position.seq
        first = next((info.first for info in reader.epochs() if info.epoch == position.epoch), position.seq)
        start = max(first, position.seq - LOOK_BACK)
        if start >= position.seq:
            return
        try:
            before = await reader.read(
                Position(position.epoch, start), max_entries=position.seq - start, max_bytes=LOOK_BACK * 256 * 1024
            )
        except (KeyError, JournalDamaged):  # freed just now, or damaged: nothing before it can be looked at
            return
        for data in before[: position.seq - start]:
            entry = decode(data)
            self._repeat(_identity(entry), entry["seq"])
            if (config_seq := _names(entry)) is not None:
                self._config = await self._known(position.epoch, config_seq, reader)

    async def lines(self, data: bytes, epoch: str, seq: int, reader: Reader) -> list[str]:
        """The lines of the entry at (epoch, seq), in order. Raises Undecodable, or Held (then ask again later)."""
        try:
            entry = decode(data)
            if entry["kind"] == "batch" and entry["trusted"]:
                lines = self._batch(entry, epoch, entry["wall_us"])
                if lines is None:
                    await self._table(epoch, entry["config_seq"], reader)
                    lines = self._batch(entry, epoch, entry["wall_us"]) or []
            else:
                lines = await self._lines(entry, Position(epoch, seq), reader)
        except (KeyError, TypeError, ValueError, OverflowError, JournalDamaged) as error:
            self._next = epoch, seq + 1
            raise Undecodable(f"cannot be decoded: {error}") from error
        self._next = epoch, seq + 1
        return lines

    def _batch(
        self, entry: Mapping[str, Any], epoch: str, wall_us: int, *, untrusted: bool = False
    ) -> list[str] | None:
        """A batch's lines; None when its configuration must be fetched first. The hot path: nothing is awaited here."""
        table = self._tables.get((epoch, entry["config_seq"]))
        if table is None:
            return None
        own_us = _own_time_us(entry) if "message" in entry else None
        repeat = self._repeat((entry["group"], entry["wall_us"] if own_us is None else own_us), entry["seq"])
        prefixes = table.prefixes(entry["group"], untrusted=untrusted, repeat=repeat)
        return line.readings(prefixes, entry, epoch, wall_us if own_us is None else own_us)

    async def _lines(self, entry: Mapping[str, Any], position: Position, reader: Reader) -> list[str]:
        when = await self._time.when(entry, position, reader)
        if when.held:
            raise Held(when.held)
        epoch, kind = position.epoch, entry["kind"]
        if kind == "batch":
            await self._table(epoch, entry["config_seq"], reader)
            return self._batch(entry, epoch, when.wall_us, untrusted=when.untrusted) or []
        repeat = self._repeat(_identity(entry), entry["seq"])
        if kind == "config":
            before = self._config
            return line.limits(
                await self._table(epoch, entry["seq"], reader), before, epoch, entry["seq"], when.wall_us
            )
        if (config_seq := _names(entry)) is not None:
            self._config = await self._known(epoch, config_seq, reader)
        extra = line.tags_for(untrusted=when.untrusted, repeat=repeat)
        return line.event(entry, self._site, epoch, when.wall_us, extra=extra)

    def _repeat(self, identity: tuple[Any, ...], seq: int) -> int:
        """0, or a tag of its own if one of the last LOOK_BACK entries had this one's series and time; remembers it.

        The tag comes from ``seq``, not from a count: a count over a window falls again as entries leave it.
        """
        time_us: int = identity[1]
        if time_us > self._newest_us:  # the usual case: nothing can be equal
            self._newest_us = time_us
            repeat = 0
        else:
            repeat = 1 + seq % REPEATS if identity in self._recent else 0
        self._recent.append(identity)
        return repeat

    async def _table(self, epoch: str, config_seq: int, reader: Reader) -> line.Table:
        """The compiled configuration. Raises KeyError when the record does not have it."""
        table = self._tables.get((epoch, config_seq))
        if table is None:
            table = line.Table(await reader.config(epoch, config_seq))
            while len(self._tables) >= _MAX_TABLES:
                del self._tables[next(iter(self._tables))]
            self._tables[epoch, config_seq] = table
        self._config = table
        return table

    async def _known(self, epoch: str, config_seq: int, reader: Reader) -> line.Table | None:
        """The same for what is only looked at in passing: None when it is missing."""
        try:
            return await self._table(epoch, config_seq, reader)
        except (KeyError, ValueError, JournalDamaged):
            return None


def _names(entry: Mapping[str, Any]) -> int | None:
    """The configuration that an entry says is in force."""
    match entry["kind"]:
        case "batch":
            return int(entry["config_seq"])
        case "config":
            return int(entry["seq"])
        case "snapshot":
            config = entry.get("config")
            return int(config["config_seq"]) if config else None
    return None


def _own_time_us(entry: Mapping[str, Any]) -> int | None:
    """A message's own zoned time, unless it lies ahead of ours.

    Own times are coarse, often whole seconds, so several messages may carry the same: where it has no microseconds,
    ``seq`` mod 1000 µs keep them apart, below the device's own resolution and the same at every redelivery.
    """
    message = entry.get("message")
    own_us = message.get("time_us") if message else None
    if own_us is None or UNCERTAIN_FUTURE in (entry.get("quality") or ()):
        return None
    return int(own_us) + (entry["seq"] % 1000 if own_us % 1000 == 0 else 0)


def _identity(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two entries share when their lines would have the same series and time."""
    match entry["kind"]:
        case "batch":
            own_us = _own_time_us(entry)
            return entry["group"], entry["wall_us"] if own_us is None else own_us
        case "violation":
            steps = (entry.get("rule"), entry.get("point"), entry.get("step"), entry.get("severity"))
            return "violation", entry["wall_us"], *steps
        case "command" | "mark" | "phase":
            return entry["kind"], entry["wall_us"], *(entry.get(name) for name in ("verb", "outcome", "step", "type", "phase"))
        case "calibration":
            return entry["kind"], entry["wall_us"], entry.get("step"), entry.get("point")
        case "event" | "snapshot":  # both may have a line of the one ``gateway`` series
            return "event", entry["wall_us"]
        case kind:
            return kind, entry["wall_us"], entry.get("state")
