"""Plans what to read of Modbus devices: poll groups, and the fewest requests within a unit's limits; reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import ModbusProfile, RegisterChannel
from edge_gateway.profiles.readable import BITS, NOTHING_LEARNED, Learned, Readable
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import Group


@dataclass(frozen=True, slots=True)
class Field:
    """A channel's place in a block: ``column`` of the poll's group number ``group``, ``at`` registers (or bits) after the block's start."""

    column: int
    at: int
    channel: RegisterChannel
    group: int = 0


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """One request: ``count`` registers (functions 3, 4) or bits (1, 2) from PDU address ``start`` on."""

    unit: int
    function: int
    start: int
    count: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class PlannedPoll:
    """What one unit is asked at one interval: requests that feed one poll group, or one of each device behind the unit.

    ``timeout_us`` 0 means the bus's own. ``readable`` is the map that the requests were cut by: other shapes of a block
    that cover the same fields are cut by it too (``wider``, ``split``).
    """

    groups: tuple[Group, ...]
    unit: int
    interval_us: int
    blocks: tuple[PlannedBlock, ...]
    readable: Readable = field(compare=False, repr=False)
    rest_us: int = 0
    timeout_us: int = 0

    @property
    def group(self) -> Group:
        """The first group: the only one of a device planned alone."""
        return self.groups[0]


#: A point's column with its channel, and the number of its group: (group, column, channel).
_Wanted = tuple[int, int, RegisterChannel]


def plan(device: DeviceSpec, *, distinct: bool = False, learned: Learned = NOTHING_LEARNED) -> list[PlannedPoll]:
    """Polls of ``device`` alone, one for each interval (µs), the shortest first. See ``plan_unit``."""
    return plan_unit([device], distinct=distinct, learned=learned)


def plan_unit(
    devices: Sequence[DeviceSpec], *, distinct: bool = False, learned: Learned = NOTHING_LEARNED
) -> list[PlannedPoll]:
    """Polls of the devices behind one unit, which share a profile: one for each interval (µs), the shortest first.

    Each device has a group for each of its intervals, columns in address order. Requests are the fewest that
    ``Readable`` permits: what several groups want is read once. With ``distinct`` (a serial line) no two of them share
    (function, answer's length) where widening one can avoid it: a late answer is then seen by its length.
    A channel in a hole that the unit was found to have is asked alone.
    Raises ConfigError for a point whose channel the profile does not have.
    """
    profile = _profile(devices[0])
    readable = Readable(profile, learned)
    groups: dict[int, list[Group]] = {}
    wanted: dict[int, list[_Wanted]] = {}
    for device in devices:
        for number, (interval_us, points) in enumerate(sorted(_by_interval(device).items())):
            at = groups.setdefault(interval_us, [])
            its = wanted.setdefault(interval_us, [])
            its += [(len(at), column, channel) for column, (_, channel) in enumerate(points)]
            at.append(_group(device, number, interval_us, points))
    polls = [
        PlannedPoll(
            groups=tuple(groups[interval_us]),
            unit=devices[0].unit,
            interval_us=interval_us,
            blocks=tuple(_blocks(devices[0].unit, wanted[interval_us], readable)),
            readable=readable,
            rest_us=profile.modbus.rest_ms * 1000,
            timeout_us=profile.modbus.timeout_ms * 1000,
        )
        for interval_us in sorted(groups)
    ]
    return _widened(polls, readable) if distinct else polls


def by_unit(devices: Sequence[DeviceSpec]) -> list[list[DeviceSpec]]:
    """Devices that are planned together: of one unit and one profile, in their order."""
    found: list[list[DeviceSpec]] = []
    for device in devices:
        at = next((its for its in found if its[0].unit == device.unit and its[0].profile == device.profile), None)
        if at is None:
            found.append([device])
        else:
            at.append(device)
    return found


def split(block: PlannedBlock) -> tuple[PlannedBlock, ...]:
    """What to ask instead of a block that the device refused: two halves, or the bare channel; () when it is bare.

    Of channels that begin together the wide ones go apart: what is beyond the narrow ones may be the culprit.
    """
    fields = block.fields
    starts = sorted({f.at for f in fields})
    if len(starts) == 1:
        widest = max(f.channel.width for f in fields)
        narrow = tuple(f for f in fields if f.channel.width < widest)
        if narrow:
            return _bare(block, narrow), _bare(block, [f for f in fields if f.channel.width == widest])
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


def wider(block: PlannedBlock, readable: Readable) -> list[PlannedBlock]:
    """The block itself, then wider ones: the readable registers after it, or before it."""
    found = [block]
    step = 8 if block.function in BITS else 1
    for extra in (n * step for n in range(1, 9)):
        if block.count + extra > readable.most(block.function):
            break
        end = block.start + block.count
        if end + extra <= 0x10000 and _may(readable, block.function, block.start, end, end + extra):
            found.append(replace(block, count=block.count + extra))
        elif extra <= block.start and _may(readable, block.function, end, block.start, block.start - extra):
            moved = tuple(replace(f, at=f.at + extra) for f in block.fields)
            found.append(replace(block, start=block.start - extra, count=block.count + extra, fields=moved))
    return found


def _may(readable: Readable, function: int, far: int, edge: int, wanted: int) -> bool:
    """May a request that has one end at ``far`` and the other at ``edge`` have that at ``wanted``, further out?"""
    first, end = min(far, wanted), max(far, wanted)
    return readable.together(function, first, end) and readable.gap(function, min(edge, wanted), max(edge, wanted))


def length(block: PlannedBlock) -> int:
    """Data bytes of the answer: what tells two answers apart."""
    return (block.count + 7) // 8 if block.function in BITS else block.count * 2


def _profile(device: DeviceSpec) -> ModbusProfile:
    profile = device.profile
    if not isinstance(profile, ModbusProfile):
        raise ConfigError(
            f"profile '{profile.id}' describes messages, not registers", key=f"devices.{device.id}.profile"
        )
    return profile


def _by_interval(device: DeviceSpec) -> dict[int, list[tuple[str, RegisterChannel]]]:
    """Points with their channels by interval (µs), in address order. Raises ConfigError."""
    profile = _profile(device)
    found: dict[int, list[tuple[str, RegisterChannel]]] = {}
    for point in device.points:
        channel = profile.channels.get(point.channel)
        if channel is None:
            known = ", ".join(sorted(profile.channels))
            raise ConfigError(
                f"profile '{profile.id}' has no channel '{point.channel}'",
                key=f"points.{point.id}.channel",
                hint=f"it has {known}",
            )
        found.setdefault(point.interval_us or device.interval_us, []).append((point.id, channel))
    for points in found.values():
        points.sort(key=lambda item: (item[1].function, item[1].register_, item[1].bit or 0, item[0]))
    return found


def _group(device: DeviceSpec, number: int, interval_us: int, points: list[tuple[str, RegisterChannel]]) -> Group:
    if interval_us <= 0:
        raise ConfigError("a Modbus device needs an interval", key=f"devices.{device.id}.interval_s")
    return Group(
        id=f"{device.id}.{number}",
        device=device.id,
        points=tuple(point for point, _ in points),
        interval_us=interval_us,
        wide=any(channel.type in ("int64", "uint64") for _, channel in points),
    )


def _blocks(unit: int, wanted: list[_Wanted], readable: Readable) -> list[PlannedBlock]:
    """The fewest requests: each begins at the first address not yet covered and goes on as far as it may.

    That is the fewest there can be: whatever covers the first address can begin there, and then nothing reaches further
    (docs/explanation/polling.md). What lies in a learned hole joins nothing.
    """
    order = sorted(wanted, key=lambda item: (item[2].function, item[2].register_, item[2].bit or 0, item[0], item[1]))
    runs: list[list[_Wanted]] = []
    alone: dict[tuple[int, int, int], list[_Wanted]] = {}
    for item in order:
        channel = item[2]
        if readable.refused(channel.function, channel.register_, channel.register_ + channel.width):
            alone.setdefault((channel.function, channel.register_, channel.width), []).append(item)
        elif runs and _joins(runs[-1], channel, readable):
            runs[-1].append(item)
        else:
            runs.append([item])
    found = [_block(unit, run) for run in (*runs, *alone.values())]
    return sorted(found, key=lambda block: (block.function, block.start))


def _joins(run: list[_Wanted], channel: RegisterChannel, readable: Readable) -> bool:
    first = run[0][2]
    if channel.function != first.function:
        return False
    end = max(c.register_ + c.width for _, _, c in run)
    if not readable.together(channel.function, first.register_, max(end, channel.register_ + channel.width)):
        return False
    return channel.register_ <= end or readable.gap(channel.function, end, channel.register_)


def _block(unit: int, run: list[_Wanted]) -> PlannedBlock:
    function, start = run[0][2].function, run[0][2].register_
    count = max(c.register_ + c.width for _, _, c in run) - start
    fields = tuple(Field(column, c.register_ - start, c, group) for group, column, c in run)
    return PlannedBlock(unit, function, start, count, fields)


def _widened(polls: list[PlannedPoll], readable: Readable) -> list[PlannedPoll]:
    """The same polls, with blocks widened by a few readable registers until no two have one (function, length)."""
    taken: set[tuple[int, int]] = set()
    result = []
    for poll in polls:
        blocks = []
        for block in poll.blocks:
            chosen = next((b for b in wider(block, readable) if (b.function, length(b)) not in taken), block)
            taken.add((chosen.function, length(chosen)))
            blocks.append(chosen)
        result.append(replace(poll, blocks=tuple(blocks)))
    return result
