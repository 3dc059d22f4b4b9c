"""Other requests for the same fields: what they bring is the same, whatever shapes are barred."""

from __future__ import annotations

import random

from edge_gateway.profiles.decode import decoder
from edge_gateway.profiles.plan import PlannedBlock, length, plan
from edge_gateway.profiles.readable import Readable
from edge_gateway.profiles.shapes import equivalents
from tests.profiles.devices import device, registers


def planned(channels: dict[str, dict[str, object]], **modbus: object) -> tuple[PlannedBlock, Readable]:
    (poll,) = plan(device(channels, **modbus))  # type: ignore[arg-type]
    return poll.blocks[0], poll.readable


def shapes(blocks: tuple[PlannedBlock, ...]) -> list[tuple[int, int]]:
    return [(block.start, block.count) for block in blocks]


def barred(*lengths: int) -> object:
    return lambda block: length(block) not in lengths


def test_the_block_itself_when_it_is_free() -> None:
    block, readable = planned(registers(10, 4))
    assert equivalents(block, readable, lambda _: True) == (block,)


def test_widened_behind_then_before() -> None:
    block, readable = planned(registers(10, 4), gap_readable=True, max_gap=3)
    assert shapes(equivalents(block, readable, barred(8))) == [(10, 5)]  # type: ignore[arg-type]
    assert shapes(equivalents(block, readable, barred(8, 10, 12, 14))) == [(9, 8)]  # type: ignore[arg-type]


def test_not_over_holes_nor_beyond_the_most() -> None:
    block, readable = planned(registers(10, 4), gap_readable=True, max_gap=3, holes=[(14, 14), (9, 9)])
    assert shapes(equivalents(block, readable, barred(8))) == [(10, 3), (13, 1)]  # type: ignore[arg-type]
    block, readable = planned(registers(10, 4), gap_readable=True, max_gap=3, max_registers=4)
    assert shapes(equivalents(block, readable, barred(8))) == [(10, 3), (13, 1)]  # type: ignore[arg-type]


def test_a_wide_channel_is_never_cut() -> None:
    block, readable = planned({"a": {"function": 3, "register": 10, "type": "uint32"}})
    assert equivalents(block, readable, barred(4)) == ()  # type: ignore[arg-type]
    channels = {"a": {"function": 3, "register": 10, "type": "uint32"}, "b": {"function": 3, "register": 12}}
    block, readable = planned(channels)  # type: ignore[arg-type]
    assert shapes(equivalents(block, readable, barred(6))) == [(10, 2), (12, 1)]  # type: ignore[arg-type]
    assert equivalents(block, readable, barred(6, 4)) == ()  # type: ignore[arg-type]


def test_bits_by_bytes() -> None:
    channels = {f"b{n}": {"function": 1, "register": n, "type": "bool"} for n in range(10)}
    block, readable = planned(channels, gap_readable=True, max_gap=16)  # type: ignore[arg-type]
    assert shapes(equivalents(block, readable, barred(2))) == [(0, 18)]  # type: ignore[arg-type]


def test_the_fields_are_the_same_whatever_is_barred() -> None:
    """N = 500 random maps and bars, seed 8: every field once, in order, with the value that the registers have; all free."""
    rng = random.Random(8)
    found = none = 0
    for _ in range(500):
        channels, at = {}, rng.randrange(50)
        for n in range(rng.randrange(1, 12)):
            kind = rng.choice(("uint16", "uint32", "float64"))
            channels[f"c{n}"] = {"function": rng.choice((3, 3, 3, 4)), "register": at, "type": kind}
            at += {"uint16": 1, "uint32": 2, "float64": 4}[kind] + rng.choice((0, 0, 0, 1, 3))
        (poll,) = plan(device(channels, gap_readable=rng.random() < 0.5, max_gap=4))
        memory = rng.randbytes(400)
        for block in poll.blocks:
            bar = {rng.randrange(1, 30) * 2 for _ in range(rng.randrange(20))} | {length(block)}
            parts = equivalents(block, poll.readable, lambda b, bar=bar: length(b) not in bar)  # type: ignore[misc]
            if not parts:
                none += 1
                continue
            found += 1
            assert [f.column for part in parts for f in part.fields] == [f.column for f in block.fields]
            assert all(length(part) not in bar for part in parts)
            assert all(poll.readable.together(p.function, p.start, p.start + p.count) for p in parts)
            values = [v for p in parts for v in decoder(p)(memory[p.start * 2 : (p.start + p.count) * 2])[0]]
            assert values == decoder(block)(memory[block.start * 2 : (block.start + block.count) * 2])[0]
    assert found > 200
    assert none > 20
