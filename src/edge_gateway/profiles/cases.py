"""A profile's cases: bytes as a device sends them, and the readings that must come of them; pure."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_gateway.profiles.decode import decoder
from edge_gateway.profiles.model import ModbusProfile, PayloadProfile, Profile
from edge_gateway.profiles.payload import PayloadReader, Unparsed
from edge_gateway.profiles.plan import PlannedBlock, plan
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import BAD_UNPARSED, GOOD, Value

#: What a case expects of a channel that its (partial) message does not speak of.
NO_READING = "no-reading"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CaseBlock(_Model):
    """Register bytes (hex) from ``start`` on. A constructed block says how: ``struct.pack(pack, *numbers)``."""

    function: Literal[1, 2, 3, 4]
    start: int = Field(ge=0, le=0xFFFF)
    data: str = Field(pattern=r"^([0-9A-Fa-f]{2})+$")
    pack: str = ""
    numbers: tuple[int | float, ...] = ()
    swap_words: bool = False

    def packed(self) -> bytes:
        """The bytes as constructed: by struct alone, never through the profile."""
        data = struct.pack(self.pack, *self.numbers)
        if self.swap_words:
            words = [data[i : i + 2] for i in range(0, len(data), 2)]
            data = b"".join(reversed(words))
        return data


class Case(_Model):
    """``expect``: channel → value, → ``bad:<why>``, or → ``no-reading`` where a partial message does not tell it.

    ``time``: the message's own time, ISO 8601; "none" where it has none that counts; "" is not compared.
    """

    name: str
    kind: Literal["captured", "constructed"]
    source: str = Field(min_length=10)
    blocks: tuple[CaseBlock, ...] = ()
    payload: str = ""
    select: str = ""
    time: str = ""
    expect: dict[str, int | float | str] = Field(min_length=1)

    @model_validator(mode="after")
    def _told(self) -> Case:
        if bool(self.blocks) == bool(self.payload):
            raise ValueError("a case has either blocks (registers) or a payload (a message)")
        if self.kind == "constructed":
            for block in self.blocks:
                if not block.pack or block.packed() != bytes.fromhex(block.data):
                    raise ValueError(f"case '{self.name}': data {block.data} is not struct.pack(pack, *numbers)")
        return self


class Cases(_Model):
    """A ``<model>.cases.toml``."""

    cases: tuple[Case, ...] = Field(min_length=1)


def faults(profile: Profile, case: Case) -> list[str]:
    """What comes out differently from what ``case`` expects, in words; [] when all is as it should be."""
    got, own_time = (_registers(profile, case), "none") if isinstance(profile, ModbusProfile) else _message(profile, case)
    wrong = [
        f"{profile.id}, case '{case.name}': {channel} is {got.get(channel)!r}, expected {wanted!r}"
        for channel, wanted in case.expect.items()
        if got.get(channel) != wanted
    ]
    wanted = case.time if case.time in ("", "none") else datetime.fromisoformat(case.time).astimezone(UTC).isoformat()
    if wanted and own_time != wanted:
        wrong.append(f"{profile.id}, case '{case.name}': its time is {own_time!r}, expected {wanted!r}")
    return wrong


def _device(profile: Profile, case: Case) -> DeviceSpec:
    points = tuple(PointSpec(id=name, channel=name, select=case.select) for name in case.expect)
    return DeviceSpec(id="case", profile=profile, points=points, interval_us=1, unit=1, topic="case")


def _registers(profile: ModbusProfile, case: Case) -> dict[str, Value | str]:
    got: dict[str, Value | str] = {}
    for group in plan(_device(profile, case)):
        for block in group.blocks:
            values, quality = decoder(block)(_bytes_of(block, case))
            for index, field in enumerate(block.fields):
                mark = quality[index] if quality else GOOD
                got[group.group.points[field.column]] = values[index] if mark == GOOD else mark
    return got


def _bytes_of(block: PlannedBlock, case: Case) -> bytes:
    """The case's bytes for a planned request. Raises ValueError when the case does not have them all."""
    known: dict[int, bytes | int] = {}  # register -> its two bytes, or bit -> 0 or 1
    for given in case.blocks:
        data = bytes.fromhex(given.data)
        if given.function != block.function:
            continue
        if block.function <= 2:
            known |= {given.start + i: data[i >> 3] >> (i & 7) & 1 for i in range(len(data) * 8)}
        else:
            known |= {given.start + i // 2: data[i : i + 2] for i in range(0, len(data), 2)}
    try:
        wanted = [known[address] for address in range(block.start, block.start + block.count)]
    except KeyError as error:
        raise ValueError(f"case '{case.name}' has no bytes for function {block.function}, address {error}") from error
    if block.function <= 2:
        packed = sum(int(bit) << i for i, bit in enumerate(wanted) if isinstance(bit, int))
        return packed.to_bytes((block.count + 7) // 8, "little")
    return b"".join(word for word in wanted if isinstance(word, bytes))


def _message(profile: Profile, case: Case) -> tuple[dict[str, Value | str], str]:
    assert isinstance(profile, PayloadProfile)
    names = list(case.expect)
    try:
        read = PayloadReader(_device(profile, case)).read(case.payload.encode())
    except Unparsed:
        return dict.fromkeys(names, BAD_UNPARSED), "none"
    quality = read.quality or [GOOD] * len(read.values)
    told = {n: v if q == GOOD else q or NO_READING for n, v, q in zip(names, read.values, quality, strict=True)}
    return told, "none" if read.time_us is None else _iso(read.time_us)


def _iso(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(microsecond=time_us % 1_000_000).isoformat()
