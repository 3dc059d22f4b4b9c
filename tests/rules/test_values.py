"""What the decision cores hand out: values that nobody who gets one can change, or get wrong by the order of its parts."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import edge_gateway

CORES = ("rules", "violations", "phases", "marks")
#: Whose parts may be given in order: few, and of different types.
IN_ORDER = ("Binding", "Outcome", "Who", "Moment", "Ask", "Refused", "Known")


def values() -> Iterator[Any]:
    for each in pkgutil.walk_packages(edge_gateway.__path__, "edge_gateway."):
        if each.name.split(".")[1] not in CORES:
            continue
        module = importlib.import_module(each.name)
        for found in vars(module).values():
            if isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == each.name:
                yield found


VALUES = list(values())


def test_there_are_values_of_every_core() -> None:
    assert {each.__module__.split(".")[1] for each in VALUES} == set(CORES)


@pytest.mark.parametrize("value", VALUES, ids=lambda each: each.__name__)
def test_a_value_is_not_changed_by_who_gets_it(value: Any) -> None:
    made = object.__new__(value)
    for name in [field.name for field in dataclasses.fields(value)]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, name, None)
    assert not hasattr(made, "__dict__"), "nothing can be hung onto it"


@pytest.mark.parametrize("value", [each for each in VALUES if each.__name__ not in IN_ORDER], ids=lambda each: each.__name__)
def test_its_parts_are_given_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="positional"):
        value(*[None] * len(dataclasses.fields(value)))
