"""Series of readings as promtool writes them: ``20x5``, ``-20+0.5x10``, ``_x3``; knows no rule and no clock.

Numbers are taken as decimal text, so that a ramp's values are those that were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

_PART = re.compile(r"^(?P<first>[-+]?\d+(?:\.\d+)?|_|[a-z]+)(?:(?P<step>[-+]\d+(?:\.\d+)?))?(?:x(?P<times>\d+))?$")
#: A series longer than a fortnight of minutes is a mistake.
MOST = 20_160


def samples(text: str, words: Sequence[str]) -> Iterator[float | str | None]:
    """One value a sample; None: no sample is there; one of ``words`` stands for itself.

    ``a``: once. ``axn``: ``a`` and n more. ``a+bxn``, ``a-bxn``: ``a`` and n more, each ``b`` further. ``_xn``: n times
    nothing. Raises ValueError for anything else.
    """
    parts = text.split()
    if not parts:
        raise ValueError("a series without a sample; write values such as '20x5 20+0.5x10 _x3'")
    total = 0
    for part in parts:
        match = _PART.match(part)
        if match is None or (match["step"] and match["times"] is None):
            raise ValueError(f"'{part}' is no part of a series; write 20, 20x5, 20+0.5x10, _x3 or badx3")
        first, times = match["first"], int(match["times"] or 0)
        total += times + 1
        if total > MOST:
            raise ValueError(f"a series of more than {MOST} samples")
        if first == "_":
            yield from [None] * (times or 1)
        elif first[0].isalpha():
            if first not in words or match["step"]:
                raise ValueError(f"'{part}' is no part of a series; words are {', '.join(words)}")
            yield from [first] * (times + 1)
        else:
            step = Decimal(match["step"] or 0)
            yield from (float(Decimal(first) + step * n) for n in range(times + 1))
