"""Whatever stands in the file: a list of faults with file and line, never a crash, never a secret."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_gateway.config.files import read_files
from edge_gateway.config.load import ConfigRefused, load
from edge_gateway.toml_lines import lines

SAMPLE = (Path(__file__).resolve().parents[2] / "src/edge_gateway/gateway.toml").read_text(encoding="utf-8")
ROWS = SAMPLE.splitlines()
_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ['""', "0", "-1", "1e400", "nan", "true", "[]", "[[1]]", "{}", '{ a = { b = "c" } }', '"\\u0000"', "1979-05-27T07:32:00Z", "07:32:00",
     '"' + "x" * 5000 + '"', "9223372036854775807", "99999999999999999999999", "[1, 'a', {}]", "'''\n'''", '"https://a:b@c"', '"http://[::1"']
)  # fmt: skip


def check(text: str | bytes) -> list[Any]:
    """Faults, or []; the folder is a new one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        faults = []
        try:
            load(file, running=False)
        except ConfigRefused as refused:
            faults = refused.faults
    assert all(fault.file and fault.why and fault.hint for fault in faults), faults
    assert all(len(str(fault)) < 4000 for fault in faults)
    return faults


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(ROWS) - 1), _VALUES), min_size=1, max_size=3))
def test_any_value_anywhere(changes: list[tuple[int, str]]) -> None:
    rows = list(ROWS)
    for at, value in changes:
        key, equals, _ = rows[at].partition(" = ")
        if equals and not key.startswith("#"):
            rows[at] = f"{key} = {value}"
    check("\n".join(rows))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(SAMPLE) - 1), st.integers(0, 80), st.text(max_size=8))
def test_any_damage(at: int, length: int, put: str) -> None:
    check(SAMPLE[:at] + put + SAMPLE[at + length :])


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check(data)


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0="), max_size=20),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
)
def test_any_variable(name: str, value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.toml"
        file.write_text(SAMPLE, encoding="utf-8")
        merged = read_files(file, None, {f"EDGE_GATEWAY__{name}": value})
        assert all(fault.hint for fault in merged.faults)


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="cannot be read") as refused:
        load(tmp_path)
    assert refused.value.hint


def test_origins_fit_the_data_after_overrides(tmp_path: Path) -> None:
    """What a later file replaces leaves no origin behind."""
    main = tmp_path / "gateway.toml"
    main.write_text("a = { b = { c = 1 }, d = [1, 2, 3] }\ne = 5\n", encoding="utf-8")
    (tmp_path / "gateway.d").mkdir()
    (tmp_path / "gateway.d" / "1.toml").write_text("[a]\nb = 2\nd = [7]\n[e]\nf = 1\n", encoding="utf-8")
    merged = read_files(main, None, {})
    assert merged.data == {"a": {"b": 2, "d": [7]}, "e": {"f": 1}}
    for path in merged.origins:
        value: Any = merged.data
        for part in path:
            value = value[part]
    assert str(merged.origins["e", "f"]).endswith("1.toml:5")
    assert lines("") == {}


def test_a_long_time_zone_is_a_short_fault() -> None:
    faults = check(SAMPLE.replace('timezone = "Asia/Shanghai"', f'timezone = "{"x" * 5000}"'))
    assert any("timezone" in str(fault) for fault in faults), faults
