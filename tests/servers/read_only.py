"""The functions that a simulated slave was asked for, for campaigns that run outside pytest; in the suite `write_ledger` watches all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.servers.write_ledger import READING


def assert_read_only(functions: Iterable[int]) -> Counter[int]:
    """Fails if any of the function codes that slaves saw is not a reading one; the counts."""
    seen = Counter(functions)
    wrong = {function: count for function, count in seen.items() if function not in READING}
    assert not wrong, f"slaves saw functions that are no reading ones: {wrong}"
    return seen
