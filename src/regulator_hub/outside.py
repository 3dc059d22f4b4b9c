"""Values out of entries, which come from outside: each is what it should be, or is none; knows no entry's meaning."""

from __future__ import annotations

from typing import TypeGuard

from edge_gateway.record.entry import MAX_INTEGER


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number within ±(2^53 - 1): what JSON can keep."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER


def whole(value: object) -> int:
    """The number itself. Raises ValueError unless ``is_whole``."""
    if not is_whole(value):
        raise ValueError(f"{str(value)[:40]} is no whole number within ±(2^53 - 1)")
    return value


def text(value: object, most: int) -> str:
    """As text of at most so many characters."""
    return str(value)[:most]
