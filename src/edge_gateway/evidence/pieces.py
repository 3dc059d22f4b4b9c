"""What a pack needs of an epoch's tree where its entries are not in the pack: subtree roots, cut at the checkpoints' sizes; reads nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_gateway.evidence.manifest import Given

Stretch = tuple[int, int]  # first, end


def left_out(here: Iterable[Stretch], size: int) -> list[Stretch]:
    """The stretches of 0 … ``size`` - 1 that are not ``here`` (sorted, apart)."""
    found, at = [], 0
    for first, end in here:
        if first > at:
            found.append((at, first))
        at = end
    return [*found, (at, size)] if at < size else found


def subtrees(stretch: Stretch, stops: Iterable[int]) -> list[Stretch]:
    """The fewest aligned subtrees ``(first, count)`` that tile the stretch and end at each of ``stops`` inside it."""
    at, end = stretch
    found = []
    for stop in sorted({stop for stop in stops if at < stop < end} | {end}):
        while at < stop:
            count = 1 << ((stop - at).bit_length() - 1)
            while at % count:
                count >>= 1
            found.append((at, count))
            at += count
    return found


def given(here: Iterable[Stretch], size: int, stops: Iterable[int], root: Callable[[int, int], bytes]) -> tuple[Given, ...]:
    """All pieces for what is left out; ``root(first, count)`` answers for an aligned subtree."""
    wanted = list(stops)
    return tuple(
        Given(first, count, root(first, count)) for stretch in left_out(here, size) for first, count in subtrees(stretch, wanted)
    )
