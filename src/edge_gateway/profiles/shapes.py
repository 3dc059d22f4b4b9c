"""What to ask instead of a block whose shape may not be asked now: the same registers in requests of other lengths; pure.

The shape of a request is its function and the bytes of its answer: all that tells one answer on a serial line from another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from edge_gateway.profiles.plan import Field, PlannedBlock
from edge_gateway.profiles.readable import BITS, Readable

#: Registers (or bytes of bits) that a request is widened by at most.
MOST_EXTRA = 32

Free = Callable[[PlannedBlock], bool]


def equivalents(block: PlannedBlock, readable: Readable, free: Free) -> tuple[PlannedBlock, ...]:
    """Requests that together bring ``block``'s fields in their order, each of a shape that is ``free``; () when there are none.

    First the block itself, then widened over readable registers, then in as few parts as possible (each perhaps
    widened); a channel of several registers is never cut.
    """
    whole = _first_free(block, readable, free)
    if whole is not None:
        return (whole,)
    parts: list[PlannedBlock] = []
    fields = block.fields
    while fields:
        most = len(fields) - (not parts)
        for taken in range(most, 0, -1):
            part = _first_free(_bare(block, fields[:taken]), readable, free)
            if part is not None:
                break
        else:
            return ()
        parts.append(part)
        fields = fields[taken:]
    return tuple(parts)


def _first_free(block: PlannedBlock, readable: Readable, free: Free) -> PlannedBlock | None:
    return next((wider for wider in _wider(block, readable) if free(wider)), None)


def _wider(block: PlannedBlock, readable: Readable) -> Iterator[PlannedBlock]:
    """The block, then wider ones, by one register (or eight bits) each: as far as possible behind it, the rest before it."""
    yield block
    function, start, end = block.function, block.start, block.start + block.count
    step = 8 if function in BITS else 1
    behind = _run(lambda n: end + n <= 0x10000 and readable.gap(function, end, end + n), step)
    before = _run(lambda n: n <= start and readable.gap(function, start - n, start), step)
    for extra in range(step, behind + before + 1, step):
        lower = max(0, extra - behind)
        if not readable.together(function, start - lower, end + extra - lower):
            return
        moved = tuple(replace(f, at=f.at + lower) for f in block.fields) if lower else block.fields
        yield replace(block, start=start - lower, count=block.count + extra, fields=moved)


def _run(may: Callable[[int], bool], step: int) -> int:
    """The longest stretch that may be read along, in whole steps."""
    length = 0
    while length < MOST_EXTRA * step and may(length + step):
        length += step
    return length


def _bare(block: PlannedBlock, fields: tuple[Field, ...]) -> PlannedBlock:
    """Just what ``fields`` need."""
    first = min(f.at for f in fields)
    count = max(f.at + f.channel.width for f in fields) - first
    moved = tuple(replace(f, at=f.at - first) for f in fields)
    return replace(block, start=block.start + first, count=count, fields=moved)
