"""The assertion that slaves saw no writing function: it passes what reads, and catches each that writes."""

from __future__ import annotations

import pytest

from tests.servers.read_only import assert_read_only
from tests.servers.write_ledger import READING


def test_reading_functions_pass_and_are_counted() -> None:
    assert assert_read_only([3, 3, 4, 43])[3] == 2
    assert_read_only(READING)


@pytest.mark.parametrize("function", [5, 6, 8, 15, 16, 21, 22, 23])
def test_a_planted_write_is_caught(function: int) -> None:
    with pytest.raises(AssertionError, match="no reading ones"):
        assert_read_only([3, function])
