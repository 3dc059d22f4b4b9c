"""Plans what to read of a Modbus device: poll groups, and blocks of registers within the device's limits; reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import ModbusProfile, ModbusTraits, RegisterChannel
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import Group


@dataclass(frozen=True, slots=True)
class Field:
    """A channel's place in a block: ``column`` of the group, ``at`` registers (or bits) after the block's start."""

    column: int
    at: int
    channel: RegisterChannel


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """One request: ``count`` registers (functions 3, 4) or bits (1, 2) from PDU address ``start`` on."""

    unit: int
    function: int
    start: int
    count: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """A poll group with its requests. ``timeout_us`` 0 means the bus's own."""

    group: Group
    unit: int
    interval_us: int
    blocks: tuple[PlannedBlock, ...]
    rest_us: int = 0
    timeout_us: int = 0


def plan(device: DeviceSpec, *, distinct: bool = False) -> list[PlannedGroup]:
    """Poll groups of ``device``, one for each interval (µs), the shortest first; columns in address order.

    Neighbours are read together when what lies between them is another channel of the profile, or may be read
    along by its word (``gap_readable``, ``max_gap``), never across a hole. With ``distinct`` (a serial line) no
    two blocks share (function, count) where widening one can avoid it: a late answer is then seen by its length.
    Raises ConfigError for a point whose channel the profile does not have.
    """
    profile = device.profile
    if not isinstance(profile, ModbusProfile):
        raise ConfigError(
            f"profile '{profile.id}' describes messages, not registers", key=f"devices.{device.id}.profile"
        )
    intervals: dict[int, list[tuple[str, RegisterChannel]]] = {}
    for point in device.points:
        channel = profile.channels.get(point.channel)
        if channel is None:
            known = ", ".join(sorted(profile.channels))
            raise ConfigError(
                f"profile '{profile.id}' has no channel '{point.channel}'",
                key=f"points.{point.id}.channel",
                hint=f"it has {known}",
            )
        intervals.setdefault(point.interval_us or device.interval_us, []).append((point.id, channel))
    readable = _Readable(profile)
    groups = [
        _group(device, number, interval_us, wanted, readable)
        for number, (interval_us, wanted) in enumerate(sorted(intervals.items()))
    ]
    return _widened(groups, readable) if distinct else groups


def split(block: PlannedBlock) -> tuple[PlannedBlock, ...]:
    """What to ask instead of a block that the device refused: two halves, or the bare channel; () when it is bare."""
    fields = block.fields
    starts = sorted({field.at for field in fields})
    if len(starts) == 1:
        bare = _bare(block, fields)
        return () if bare == block else (bare,)
    middle = starts[len(starts) // 2]
    halves = (tuple(f for f in fields if f.at < middle), tuple(f for f in fields if f.at >= middle))
    return tuple(_bare(block, half) for half in halves)


def _bare(block: PlannedBlock, fields: Sequence[Field]) -> PlannedBlock:
    first = min(f.at for f in fields)
    count = max(f.at + f.channel.width for f in fields) - first
    moved = tuple(replace(f, at=f.at - first) for f in fields)
    return replace(block, start=block.start + first, count=count, fields=moved)


class _Readable:
    """Which addresses of a device may be read: its channels', and gaps by the profile's word."""

    def __init__(self, profile: ModbusProfile) -> None:
        self.traits: ModbusTraits = profile.modbus
        self._channels: dict[int, set[int]] = {1: set(), 2: set(), 3: set(), 4: set()}
        for channel in profile.channels.values():
            self._channels[channel.function].update(range(channel.register_, channel.register_ + channel.width))

    def gap(self, function: int, first: int, end: int) -> bool:
        """May addresses ``first`` … ``end - 1`` be read along?"""
        unknown = [a for a in range(first, min(end, first + 2000)) if a not in self._channels[function]]
        if not unknown:
            return True
        if not self.traits.gap_readable or end - first > self.traits.max_gap:
            return False
        return not any(a <= address <= b for a, b in self.traits.holes for address in unknown)

    def most(self, function: int) -> int:
        return self.traits.max_bits if function in (1, 2) else self.traits.max_registers


def _group(
    device: DeviceSpec, number: int, interval_us: int, wanted: list[tuple[str, RegisterChannel]], readable: _Readable
) -> PlannedGroup:
    if interval_us <= 0:
        raise ConfigError("a Modbus device needs an interval", key=f"devices.{device.id}.interval_s")
    wanted = sorted(wanted, key=lambda item: (item[1].function, item[1].register_, item[1].bit or 0, item[0]))
    group = Group(
        id=f"{device.id}.{number}",
        device=device.id,
        points=tuple(point for point, _ in wanted),
        interval_us=interval_us,
        wide=any(channel.type in ("int64", "uint64") for _, channel in wanted),
    )
    blocks: list[PlannedBlock] = []
    run: list[tuple[int, RegisterChannel]] = []
    for column, (_, channel) in enumerate(wanted):
        if run and not _joins(run, channel, readable):
            blocks.append(_block(device.unit, run))
            run = []
        run.append((column, channel))
    blocks.append(_block(device.unit, run))
    traits = readable.traits
    return PlannedGroup(
        group=group,
        unit=device.unit,
        interval_us=interval_us,
        blocks=tuple(blocks),
        rest_us=traits.rest_ms * 1000,
        timeout_us=traits.timeout_ms * 1000,
    )


def _joins(run: list[tuple[int, RegisterChannel]], channel: RegisterChannel, readable: _Readable) -> bool:
    first = run[0][1]
    if channel.function != first.function:
        return False
    end = max(c.register_ + c.width for _, c in run)
    if max(end, channel.register_ + channel.width) - first.register_ > readable.most(channel.function):
        return False
    return channel.register_ <= end or readable.gap(channel.function, end, channel.register_)


def _block(unit: int, run: list[tuple[int, RegisterChannel]]) -> PlannedBlock:
    function, start = run[0][1].function, run[0][1].register_
    count = max(c.register_ + c.width for _, c in run) - start
    fields = tuple(Field(column, c.register_ - start, c) for column, c in run)
    return PlannedBlock(unit, function, start, count, fields)


def _widened(groups: list[PlannedGroup], readable: _Readable) -> list[PlannedGroup]:
    """The same groups, with blocks widened by a few readable registers until no two have one (function, count)."""
    taken: set[tuple[int, int]] = set()
    result = []
    for group in groups:
        blocks = []
        for block in group.blocks:
            chosen = next((b for b in _wider(block, readable) if (b.function, _length(b)) not in taken), block)
            taken.add((chosen.function, _length(chosen)))
            blocks.append(chosen)
        result.append(replace(group, blocks=tuple(blocks)))
    return result


def _length(block: PlannedBlock) -> int:
    """Bytes of the answer: what tells two answers apart."""
    return (block.count + 7) // 8 if block.function in (1, 2) else block.count * 2


def _wider(block: PlannedBlock, readable: _Readable) -> list[PlannedBlock]:
    """The block itself, then wider ones: the readable registers after it, or before it."""
    found = [block]
    step = 8 if block.function in (1, 2) else 1
    for extra in (n * step for n in range(1, 9)):
        if block.count + extra > readable.most(block.function):
            break
        end = block.start + block.count
        if end + extra <= 0x10000 and readable.gap(block.function, end, end + extra):
            found.append(replace(block, count=block.count + extra))
        elif extra <= block.start and readable.gap(block.function, block.start - extra, block.start):
            moved = tuple(replace(f, at=f.at + extra) for f in block.fields)
            found.append(replace(block, start=block.start - extra, count=block.count + extra, fields=moved))
    return found
