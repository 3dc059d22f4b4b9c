"""Every key of the shipped sample, misspelt, deleted and mistyped: each is found at its line, or may be left out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.config.load import ConfigRefused, load
from edge_gateway.errors import ConfigError
from edge_gateway.toml_lines import lines

SAMPLE = Path(__file__).resolve().parents[2] / "src/edge_gateway/gateway.toml"
TEXT = SAMPLE.read_text(encoding="utf-8")
_KEY = re.compile(r"^([a-z0-9_]+)( *= *)(.*?)( +#.*)?$")

#: Keys that a configuration is sound without, and why.
OPTIONAL = {
    "site.timezone": "Asia/Shanghai",
    "clock.trust": "kernel",
    "clock.hold_s": "a day",
    "journal.max_bytes": "60 %",
    "journal.keep_days": "730",
    "journal.commit_every_s": "5 s",
    "records.start_requires": "the certificate",
    "records.dispatch_requires": "certificate and slip",
    "records.warn_days": "30",
    "page.listen": "loopback",
    "page.language": "zh",
    "buses.line1.baud": "9600",
    "buses.line1.parity": "N",
    "buses.line1.stopbits": "1",
    "buses.line1.timeout_s": "0.5 s",
    "buses.line1.quiet_s": "0.5 s",
    "buses.line1.late_max_s": "5 s",
    "buses.plc.port": "502",
    "buses.plc.timeout_s": "1 s",
    "buses.zigbee.port": "1883",
    "buses.zigbee.password_file": "a broker may want a name only",
    "buses.zigbee.protocol": "5",
    "devices.door-sensor.expect_every_s": "silence is then not seen",
    "rules.packs": "all three",
    "sinks.hub.via": "http",
} | {
    f"outlets.outlet1.{key}": "a permit need not limit it"
    for key in ("permit", "permit_date", "permit_until", "document_sha256", "checked_by", "ph_low", "ph_high", "cod_mg_l", "ammonia_mg_l", "temperature_cel")
}


def keys() -> Iterator[tuple[str, int]]:
    """Every key with its line; names for people are optional wherever they stand but in [site]."""
    found = lines(TEXT)
    for path, line in found.items():
        value: Any = tomllib.loads(TEXT)
        for part in path:
            value = value[part]
        if not isinstance(value, dict) and not isinstance(path[-1], int):
            yield ".".join(map(str, path)), line


def optional(key: str) -> bool:
    return key in OPTIONAL or (key.rpartition(".")[2] in ("name_zh", "name_en") and not key.startswith("site."))


KEYS = list(keys())


def faults(tmp_path: Path, text: str) -> list[ConfigError]:
    file = tmp_path / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    try:
        load(file, running=False)
    except ConfigRefused as refused:
        return refused.faults
    return []


def changed(line: int, change: Any) -> str:
    """The sample with one line changed (None: deleted, so that the lines below keep their numbers: emptied)."""
    rows = TEXT.splitlines()
    match = _KEY.match(rows[line - 1])
    assert match, rows[line - 1]
    rows[line - 1] = change(match[1], match[3])
    return "\n".join(rows) + "\n"


def test_the_sample_itself_is_sound(tmp_path: Path) -> None:
    assert faults(tmp_path, TEXT) == []


def test_there_is_a_key_on_every_line_that_is_one() -> None:
    assert len(KEYS) == sum(bool(_KEY.match(row)) for row in TEXT.splitlines()) > 90


@pytest.mark.parametrize(("key", "line"), KEYS, ids=[key for key, _ in KEYS])
def test_misspelt(tmp_path: Path, key: str, line: int) -> None:
    name = key.rpartition(".")[2]
    wrong = name[:-2] + name[-1] + name[-2] if name[-1] != name[-2] else name + "x"
    found = [f for f in faults(tmp_path, changed(line, lambda _, value: f"{wrong} = {value}")) if f.line == line]
    if name == "kind" and not key.startswith("zones."):  # the kind decides which keys there are
        found = faults(tmp_path, changed(line, lambda _, value: f"{wrong} = {value}"))
        assert [(f.code, f.why) for f in found] == [("missing-key", "key 'kind' is missing")]
        return
    (fault,) = found
    assert (fault.code, fault.key) == ("unknown-key", f"{key.rpartition('.')[0]}.{wrong}")
    assert fault.hint == f"did you mean '{name}'?" or (len(name) == 2 and name in fault.hint)


@pytest.mark.parametrize(("key", "line"), KEYS, ids=[key for key, _ in KEYS])
def test_deleted(tmp_path: Path, key: str, line: int) -> None:
    found = faults(tmp_path, changed(line, lambda _name, _value: ""))
    if optional(key):
        assert found == []
        return
    table = key.rpartition(".")[0]
    begins = next(number for number, row in enumerate(TEXT.splitlines(), 1) if row == f"[{table}]")
    assert found, f"{key} may be left out without a word"
    assert all(f.line == begins or f.line > line for f in found), [str(f) for f in found]
    assert key.rpartition(".")[2] in f"{found[0].key} {found[0].why}"


@pytest.mark.parametrize(("key", "line"), KEYS, ids=[key for key, _ in KEYS])
def test_mistyped(tmp_path: Path, key: str, line: int) -> None:
    found = faults(tmp_path, changed(line, lambda name, value: f"{name} = {_other_type(value)}"))
    (fault,) = [f for f in found if f.line == line]
    assert fault.key == key
    assert fault.code in ("wrong-type", "not-permitted", "out-of-range")
    assert fault.hint


def _other_type(value: str) -> str:
    """A value of another type: a number for a text and a list, the number in quotes for a number."""
    return "7" if value.startswith(('"', "[")) else f'"{value}"'


@pytest.mark.parametrize(("key", "line"), [k for k in KEYS if not TEXT.splitlines()[k[1] - 1].count("[")], ids=str)
def test_true_is_nothing_but_true(tmp_path: Path, key: str, line: int) -> None:
    (fault,) = [f for f in faults(tmp_path, changed(line, lambda name, _: f"{name} = true")) if f.line == line]
    assert fault.key == key


#: Tables that the sample has as remarks, of sources that not every site has; and what its derived point needs.
REMARKS = ("buses.probes", "buses.meters", "buses.adc", "buses.gateway", "devices.cold1-probe", "devices.water-meter",
           "devices.tank-level", "devices.box", "devices.cold1-door", "derived.outlet1-flow")  # fmt: skip
LEVEL = '\n[points.outlet1-level]\ndevice = "tank-level"\nchannel = "value"\nzone = "outlet1"\n'


def test_remarks_are_tables_that_hold(tmp_path: Path) -> None:
    lines_, taken = [], set()
    inside = False
    for line in TEXT.splitlines():
        if line.startswith("# ["):
            name = line[3:].partition("]")[0]
            inside = name in REMARKS
            taken.add(name)
        elif not line.startswith("# ") or " = " not in line:
            inside = False
        lines_.append(line[2:] if inside else line)
    assert set(REMARKS) <= taken
    file = tmp_path / "gateway.toml"
    file.write_text("\n".join(lines_) + LEVEL, encoding="utf-8")
    loaded = load(file, running=False)
    assert {"probes", "meters", "adc", "gateway"} <= set(loaded.config.buses)
    assert loaded.config.derived["outlet1-flow"].of == ("outlet1-level",)
    assert loaded.config.devices["water-meter"].pulse is not None
