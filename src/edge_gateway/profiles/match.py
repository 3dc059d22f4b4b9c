"""Which profile a unit on a line may be: says what to read next, takes the answers, and weighs them; pure, asks nobody.

A profile is judged by ``[identify]`` where it has one, else by its own channels: a register that must be there and is
refused rules the profile out; a value within the probe's range speaks for it, the more the less likely any word would be
in that range. Weights are bits: 10 bits mean that one random device in a thousand would look so. ``score`` is a profile's
share of all evidence, with ``STRANGER_BITS`` for "something that has no profile": two profiles that fit alike get half
each. It is a guess that a person confirms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log2

from edge_gateway.profiles.decode import decoder
from edge_gateway.profiles.identity import fits
from edge_gateway.profiles.model import ModbusProfile, RegisterChannel
from edge_gateway.profiles.plan import PlannedBlock, plan
from edge_gateway.profiles.registers import Signature
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import BAD_SENTINEL, GOOD, Value

#: What speaks for a device without a profile.
STRANGER_BITS = 7.0
#: A text of functions 43 or 17 that begins as the profile says.
TEXT_BITS = 20.0
#: A value outside its range, or that is no number.
CONTRADICTION_BITS = -6.0
#: Zero is what registers without a meaning hold: all zeros together speak no louder than this.
ZERO_BITS = 2.0
#: A float in no stated range, of a size that a measurement has; a whole 32-bit number that is not large.
_LIKELY_FLOAT_BITS, _LIKELY_WHOLE_BITS, _REGISTER_BITS = 3.0, 3.0, 0.5
_MOST_BITS = 30.0
#: What is measured at such sites, whatever the probe could measure: a probe of a narrow range is not likelier for it.
_USUAL: Mapping[str, tuple[float, float]] = {"temperature": (-60.0, 150.0), "humidity": (0.0, 100.0), "ph": (0.0, 14.0)}
_FLOATS = frozenset({"float16", "float32", "float64"})

#: (function, first register, count): one request.
Block = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """A channel as decoded: for a person to see whether it makes sense."""

    channel: str
    value: Value
    quality: str
    quantity: str
    unit: str
    decimals: int
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Match:
    """A profile that fits, with its share of the evidence (0 to 1)."""

    profile: str
    name_zh: str
    name_en: str
    score: float
    bits: float
    values: tuple[Shown, ...]


@dataclass(slots=True)
class _Candidate:
    profile: ModbusProfile
    blocks: list[PlannedBlock]
    signs: list[Signature]
    bits: float = 0.0
    zeros: float = 0.0
    out: bool = False
    values: list[Shown] = field(default_factory=list)

    def told(self, same: bool) -> None:
        """By its own word it is such a device, or is none."""
        self.bits += TEXT_BITS if same else 0
        self.out |= not same

    @property
    def next_block(self) -> Block:
        """Its signature before its channels."""
        if self.signs:
            sign = self.signs[0]
            return sign.function, sign.register_, sign.width
        block = self.blocks[0]
        return block.function, block.start, block.count

    @property
    def weight(self) -> float:
        return min(self.bits + min(self.zeros, ZERO_BITS), _MOST_BITS)


class Matcher:
    """One unit. Feed ``texts`` first, then answer ``wanted`` until it is None; ``result`` at any time."""

    def __init__(self, profiles: Iterable[ModbusProfile]) -> None:
        self._candidates = [_Candidate(p, _blocks(p), list(p.identify.signature)) for p in profiles if p.modbus.needs == "nothing"]
        self._known: dict[int, dict[int, int]] = {1: {}, 2: {}, 3: {}, 4: {}}
        self._refused: set[Block] = set()

    def texts(self, device_id: Mapping[int, str], server_id: str) -> None:
        """What the unit says of itself (function 43/14 by object, function 17); {} and "" where it said nothing."""
        for candidate in self._candidates:
            asked = candidate.profile.identify
            if asked.device_id is not None and device_id:
                same = device_id.get(0, "").startswith(asked.device_id.vendor)
                candidate.told(same and device_id.get(1, "").startswith(asked.device_id.product))
            if asked.server_id and server_id:
                candidate.told(server_id.lstrip().startswith(asked.server_id))
        if any(c.bits >= TEXT_BITS and not c.out for c in self._candidates):
            for candidate in self._candidates:  # its own word settles it: the others need not be read
                candidate.out |= candidate.bits < TEXT_BITS

    def wanted(self) -> Block | None:
        """What to read next: of each profile still possible its first open block, the likelier ones first."""
        self._judge()
        open_ = [c for c in self._candidates if not c.out and (c.signs or c.blocks)]
        if not open_:
            return None
        return max(open_, key=lambda candidate: candidate.weight).next_block

    def answered(self, block: Block, data: bytes) -> None:
        """Its answer's data bytes."""
        function, start, count = block
        if function <= 2:
            cells = {start + i: data[i >> 3] >> (i & 7) & 1 for i in range(count)}
        else:
            cells = {start + i: int.from_bytes(data[2 * i : 2 * i + 2], "big") for i in range(count)}
        self._known[function].update(cells)

    def refused(self, block: Block) -> None:
        """The unit refuses it, or says nothing to it."""
        self._refused.add(block)

    def read(self) -> list[tuple[Block, bytes]]:
        """Everything that was answered, whoever asked for it: runs without a hole in between, with their data bytes."""
        runs: list[Block] = []
        for function, cells in self._known.items():
            for address in sorted(cells):
                if runs and (runs[-1][0], runs[-1][1] + runs[-1][2]) == (function, address):
                    runs[-1] = (function, runs[-1][1], runs[-1][2] + 1)
                else:
                    runs.append((function, address, 1))
        return [(run, self._data(run) or b"") for run in runs]

    def result(self) -> list[Match]:
        """What fits, the best first."""
        fitting = [c for c in self._candidates if not (c.out or c.blocks or c.signs) and c.weight > 0]
        total = sum(2**c.weight for c in fitting) + 2**STRANGER_BITS
        found = [
            Match(c.profile.id, c.profile.name_zh, c.profile.name_en, 2**c.weight / total, c.weight, tuple(c.values))
            for c in fitting
        ]
        return sorted(found, key=lambda match: (-match.score, match.profile))

    def _judge(self) -> None:
        """Settle every block whose registers are known or refused."""
        for candidate in self._candidates:
            while (candidate.signs or candidate.blocks) and not candidate.out:
                block = candidate.next_block
                data = self._data(block)
                if data is not None and candidate.signs:
                    sign = candidate.signs.pop(0)
                    candidate.out |= not fits(sign, data)
                    candidate.bits += signature_bits(sign)
                elif data is not None:
                    _weigh(candidate, candidate.blocks.pop(0), data)
                elif any(_within(refused, block) for refused in self._refused):
                    candidate.out = True
                else:
                    break

    def _data(self, block: Block) -> bytes | None:
        function, start, count = block
        known = self._known[function]
        wanted = range(start, start + count)
        if any(at not in known for at in wanted):
            return None
        if function > 2:
            return b"".join(known[at].to_bytes(2, "big") for at in wanted)
        data = bytearray((count + 7) // 8)
        for index, at in enumerate(wanted):
            data[index >> 3] |= known[at] << (index & 7)
        return bytes(data)


def _within(refused: Block, block: Block) -> bool:
    """Whether ``block`` asks for all that was refused already: then it will be refused too."""
    function, start, count = refused
    return function == block[0] and block[1] <= start and start + count <= block[1] + block[2]


def _blocks(profile: ModbusProfile) -> list[PlannedBlock]:
    """The requests that fetch all its channels, the shortest first: they rule out at the least cost."""
    points = tuple(PointSpec(id=name, channel=name) for name in profile.channels)
    spec = DeviceSpec(id="scan", profile=profile, points=points, interval_us=1_000_000, unit=1)
    blocks = [block for group in plan(spec) for block in group.blocks]
    return sorted(blocks, key=lambda block: (block.function <= 2, block.count))


def _weigh(candidate: _Candidate, block: PlannedBlock, data: bytes) -> None:
    values, marks = decoder(block)(data)
    names = {id(channel): name for name, channel in candidate.profile.channels.items()}
    for index, (field_, value) in enumerate(zip(block.fields, values, strict=True)):
        channel, quality = field_.channel, GOOD if marks is None else marks[index]
        if value is not None:
            bits = evidence(channel, float(value))
            if value == float(channel.offset):
                candidate.zeros += min(bits, 1.0)
            else:
                candidate.bits += bits
        elif quality != BAD_SENTINEL:  # "no probe" is in the range of what such a device says
            candidate.bits += CONTRADICTION_BITS
        candidate.values.append(
            Shown(
                names[id(channel)],
                value,
                quality,
                channel.quantity,
                channel.unit,
                channel.decimals,
                channel.name_zh,
                channel.name_en,
            )
        )
    if candidate.weight <= 0 and candidate.bits < 0:
        candidate.out = True


def evidence(channel: RegisterChannel, value: float) -> float:
    """Bits: how unlikely it is that a random register content of the channel's type decodes to a believable value."""
    if channel.type == "bool":
        return _REGISTER_BITS
    low, high = _USUAL.get(channel.quantity, (channel.range_low, channel.range_high))
    if channel.type in _FLOATS:
        if value and not 1e-4 <= abs(value) <= 1e7:
            return CONTRADICTION_BITS
        bounded = low is not None and high is not None
        return _LIKELY_FLOAT_BITS + (2.0 if bounded else 0.0)
    whole = channel.integer_bits or 16
    if low is not None and high is not None:
        share = (high - low) / abs(float(channel.scale)) / 2**whole
        return -_log2(min(1.0, share))
    if whole > 16:
        return _LIKELY_WHOLE_BITS if abs(value / float(channel.scale)) < 2**24 else CONTRADICTION_BITS
    return _REGISTER_BITS


def signature_bits(sign: Signature) -> float:
    """Bits that a register's content of ``equals`` or ``between`` is worth; 16 for each register that must be so."""
    if sign.between is None:
        return min(16.0 * sign.width, _MOST_BITS) if sign.equals else ZERO_BITS
    return _LIKELY_FLOAT_BITS if sign.type in _FLOATS else -_log2(min(1.0, (sign.between[1] - sign.between[0] + 1) / 2 ** (16 * sign.width)))


def _log2(share: float) -> float:
    return log2(share) if share > 0 else -16.0
