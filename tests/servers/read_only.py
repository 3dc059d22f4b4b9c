"""What simulated slaves were asked: the field bus is read-only, and a slave that sees a writing function says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

#: Functions that change something in a device (V1.1b3, section 6): coils, registers, files, queues, masks, diagnostics.
WRITING = frozenset({5, 6, 8, 15, 16, 21, 22, 23})
READING = frozenset({1, 2, 3, 4, 7, 11, 12, 17, 20, 24, 43})


def assert_read_only(functions: Iterable[int]) -> Counter[int]:
    """Fails if any of the function codes that slaves saw is not a reading one; the counts."""
    seen = Counter(functions)
    wrong = {function: count for function, count in seen.items() if function not in READING}
    assert not wrong, f"slaves saw functions that are no reading ones: {wrong}"
    return seen
