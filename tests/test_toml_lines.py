"""Lines of TOML keys, against tomllib: every leaf holds a number that stands in the text once."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_gateway.toml_lines import Path, line_of, lines

NAMES = ["a", "b", "key-1", "x_y", '"quoted . name"', "'literal # name'", "3", "type"]
STYLES = ["int", "basic", "literal", "multi", "multi-literal", "array", "inline", "nested", "date"]


class Writer:
    """Writes random but valid TOML; each leaf has its own number."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.number = 1000

    def leaf(self, style: str) -> str:
        self.number += 1
        n = self.number
        return {
            "int": f"{n}",
            "basic": f'"v{n} \\" ] }} # not a comment \\\\"',
            "literal": f"'v{n} \\ ] # '",
            "multi": f'"""v{n} [x]\n# no comment\n[no.table]\ny = "1" \\""" ""x"""""',
            "multi-literal": f"'''v{n}\n[[no]]\nk = 'z' '''",
            "date": f'1979-05-27 07:32:00.{n}  # comment {{ [ "',
        }.get(style, f"{n}")

    def value(self, style: str) -> str:
        if style == "array":
            return f"[ {self.leaf('basic')}, # first ]\n  {self.leaf('int')},\n\n  [{self.leaf('multi')}],\n]"
        if style == "inline":
            return f"{{ p = {self.leaf('int')}, 'q r'.s = {self.leaf('literal')} }}"
        if style == "nested":
            return f"[ {{ x = {self.leaf('int')} }},\n {{ y = [{self.leaf('int')}] }} ]"
        return self.leaf(style)

    def body(self) -> None:
        used = self.draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
        for name in used:
            dotted = self.draw(st.booleans())
            key = f"{name} . sub" if dotted else name
            self.text += f"{self.draw(st.sampled_from(['', '  ', chr(10), '# c [x]' + chr(10)]))}{key} = "
            self.text += self.value(self.draw(st.sampled_from(STYLES))) + self.draw(
                st.sampled_from(["\n", "  # end\n"])
            )


@st.composite
def documents(draw: Any) -> str:
    writer = Writer(draw)
    writer.body()
    for table in draw(st.lists(st.sampled_from(["t1", "t2.deep.er", "[[many]]", "[[t3.list]]"]), max_size=6)):
        if table.startswith("[["):
            writer.text += f"{table}\n"
            writer.body()
            if draw(st.booleans()):
                writer.text += f"[{table.strip('[]')}.inner{writer.number}]  # of the last element\n"
                writer.body()
        elif f"[{table}]" not in writer.text.replace(" ", ""):
            writer.text += f"[ {table.replace('.', ' . ')} ]\n"
            writer.body()
    return writer.text.replace("\n", "\r\n") if draw(st.booleans()) else writer.text


def leaves(value: Any, path: Path = ()) -> list[tuple[Path, str]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for i, item in enumerate(value) for leaf in leaves(item, (*path, i))]
    match = re.search(r"\d{4,}", getattr(value, "isoformat", lambda: str(value))().replace("1979", ""))
    assert match
    digits = match.group(0)
    return [(path, digits.rstrip("0") if len(digits) == 6 else digits)]


@settings(max_examples=300, deadline=None)
@given(documents())
def test_each_leaf_has_its_line(text: str) -> None:
    found = lines(text)
    for path, number in leaves(tomllib.loads(text)):
        at = text.find(number)
        assert found[path] == text.count("\n", 0, at) + 1, (path, text)
        for end in range(1, len(path)):
            assert path[:end] in found


def test_tables_and_nearest_ancestor() -> None:
    text = "[a]\nx = 1\n\n[[b]]\n[[b]]\ny.z = [\n 1,\n 2 ]\n[c.d]\n"
    found = lines(text)
    assert found[("a",)] == 1
    assert found[("b",)] == 4
    assert found[("b", 1)] == 5
    assert found[("b", 1, "y", "z", 1)] == 8
    assert found[("c",)] == found[("c", "d")] == 9
    assert line_of(found, ("b", 1, "missing", "deep")) == 5
    assert line_of(found, ("nowhere",)) == 0
