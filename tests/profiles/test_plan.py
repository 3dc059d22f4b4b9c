"""What is asked of a device: every point once, within its limits, never across a hole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.errors import ConfigError
from edge_gateway.profiles.plan import PlannedBlock, plan, split
from tests.profiles.devices import device, registers


def shape(blocks: tuple[PlannedBlock, ...]) -> list[tuple[int, int, int]]:
    return [(b.function, b.start, b.count) for b in blocks]


def test_neighbours_are_one_request() -> None:
    (group,) = plan(device(registers(10, 20)))
    assert shape(group.blocks) == [(3, 10, 20)]
    assert group.group.points == tuple(f"d-r{a}" for a in range(10, 30))
    assert (group.group.id, group.interval_us, group.group.interval_us) == ("d.0", 1_000_000, 1_000_000)


def test_limits_split_without_cutting_a_value() -> None:
    (group,) = plan(device(registers(0, 20, step=2, type="float32"), max_registers=7))
    assert shape(group.blocks) == [(3, s, min(6, 40 - s)) for s in range(0, 40, 6)]


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        ({}, [(3, 0, 1), (3, 5, 1)]),
        ({"gap_readable": True}, [(3, 0, 6)]),
        ({"gap_readable": True, "max_gap": 3}, [(3, 0, 1), (3, 5, 1)]),
        ({"gap_readable": True, "holes": [(2, 2)]}, [(3, 0, 1), (3, 5, 1)]),
        ({"gap_readable": True, "holes": [(6, 9)]}, [(3, 0, 6)]),
        ({"gap_readable": True, "max_registers": 5}, [(3, 0, 1), (3, 5, 1)]),
    ],
)
def test_gaps_are_read_along_only_where_the_profile_says_so(traits: dict[str, Any], expected: list[Any]) -> None:
    (group,) = plan(device({"a": {"function": 3, "register": 0}, "b": {"function": 3, "register": 5}}, **traits))
    assert shape(group.blocks) == expected


def test_a_channel_without_a_point_is_readable_between_two_that_have_one() -> None:
    (group,) = plan(device(registers(0, 8, function=2, type="bool"), wanted=("r1", "r6")))
    assert shape(group.blocks) == [(2, 1, 6)]


def test_intervals_make_groups_and_functions_make_blocks() -> None:
    channels = registers(0, 3) | registers(10, 2, function=4)
    groups = plan(device(channels, intervals={"r1": 60_000_000}))
    assert [(g.group.id, g.interval_us, shape(g.blocks)) for g in groups] == [
        ("d.0", 1_000_000, [(3, 0, 3), (4, 10, 2)]),
        ("d.1", 60_000_000, [(3, 1, 1)]),
    ]


def test_wide_groups_are_known() -> None:
    (group,) = plan(device(registers(0, 1, type="uint64")))
    assert group.group.wide
    assert not plan(device(registers(0, 1)))[0].group.wide


def test_on_a_serial_line_no_two_answers_have_one_length() -> None:
    channels = {
        "a": {"function": 3, "register": 0},
        "b": {"function": 3, "register": 50},
        "c": {"function": 3, "register": 99},
    }
    blocks = plan(device(channels, gap_readable=True), distinct=True)[0].blocks
    assert shape(blocks) == [(3, 0, 1), (3, 50, 2), (3, 99, 3)]
    assert shape(plan(device(channels), distinct=True)[0].blocks) == [(3, 0, 1), (3, 50, 1), (3, 99, 1)]  # unavoidable


def test_bits_are_told_apart_by_bytes() -> None:
    channels = {
        "a": {"function": 2, "register": 0, "type": "bool"},
        "b": {"function": 2, "register": 500, "type": "bool"},
    }
    assert shape(plan(device(channels, gap_readable=True), distinct=True)[0].blocks) == [(2, 0, 1), (2, 500, 9)]


def test_a_refused_block_is_halved_down_to_single_channels() -> None:
    (block,) = plan(device(registers(0, 4, step=2, type="int32")))[0].blocks
    asked = [block]
    singles = []
    while asked:
        halves = split(asked.pop())
        singles += [h for h in halves if not split(h)]
        asked += [h for h in halves if split(h)]
    assert sorted(shape(tuple(singles))) == [(3, a, 2) for a in (0, 2, 4, 6)]
    assert sorted(h.fields[0].column for h in singles) == [0, 1, 2, 3]


def test_a_widened_block_is_first_asked_bare() -> None:
    channels = {"a": {"function": 3, "register": 0}, "b": {"function": 3, "register": 50}}
    wide = plan(device(channels, gap_readable=True), distinct=True)[0].blocks[1]
    (bare,) = split(wide)
    assert shape((bare,)) == [(3, 50, 1)]
    assert split(bare) == ()


def test_unknown_channel_and_missing_interval_are_refused() -> None:
    with pytest.raises(ConfigError, match="no channel 'nope'"):
        plan(device(registers(0, 1), wanted=("nope",)))
    with pytest.raises(ConfigError, match="interval"):
        plan(device(registers(0, 1), interval_us=0))


@given(
    st.sets(st.integers(0, 300), min_size=1, max_size=60),
    st.integers(1, 125),
    st.booleans(),
    st.integers(0, 30),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20)), max_size=3),
    st.booleans(),
)
def test_every_point_once_within_limits(
    addresses: set[int], most: int, readable: bool, gap: int, holes: list[tuple[int, int]], distinct: bool
) -> None:
    spans = [(a, a + n) for a, n in holes if not any(a <= x <= a + n for x in addresses)]
    channels = {f"r{a}": {"function": 3, "register": a} for a in addresses}
    spec = device(channels, max_registers=most, gap_readable=readable, max_gap=gap, holes=spans)
    (group,) = plan(spec, distinct=distinct)
    assert len(group.group.points) == len(addresses)
    columns = [f.column for b in group.blocks for f in b.fields]
    assert sorted(columns) == list(range(len(addresses)))
    for block in group.blocks:
        assert 1 <= block.count <= most
        assert all(f.at >= 0 and f.at + f.channel.width <= block.count for f in block.fields)
        assert all(block.start + f.at == f.channel.register_ for f in block.fields)
        if not readable:
            assert all(block.start + i in addresses for i in range(block.count))
        assert not any(a <= block.start + i <= b for a, b in spans for i in range(block.count))
