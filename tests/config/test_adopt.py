"""From an item to a configuration: what is written is sound, and what cannot be is refused with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_gateway.config.adopting import adopt, wish_of
from edge_gateway.config.load import load
from edge_gateway.errors import GatewayError

SITE = '[site]\nid = "s"\norigin = "example.org/s"\nname_zh = "站"\nname_en = "Site"\n'
MATCH = {"profile": "generic/xy-md02", "score": 0.94}
FOUND: dict[str, Any] = {
    "kind": "modbus", "bus": "", "port": "/dev/ttyUSB0", "framing": "9600-8N1", "unit": 3, "state": "answers",
    "matches": [MATCH],
}  # fmt: skip
NEW_ZONE = {"prefix": "cold1", "zone": "cold1", "kind": "frozen-store"}


@pytest.fixture
def main(tmp_path: Path) -> Path:
    (tmp_path / "gateway.toml").write_text(SITE, encoding="utf-8")
    return tmp_path / "gateway.toml"


def add(main: Path, found: dict[str, Any], **body: Any) -> Path:
    file, _ = adopt(main, main.parent / "state", found, wish_of(body), "Written by a test.")
    return file


def test_an_empty_configuration_gets_bus_zone_device_and_points(main: Path) -> None:
    add(main, FOUND, **NEW_ZONE)
    config = load(main, main.parent / "state").config
    assert config.buses["line1"].model_dump(include={"kind", "port", "baud", "parity"}) == {
        "kind": "rtu", "port": "/dev/ttyUSB0", "baud": 9600, "parity": "N",
    }  # fmt: skip
    assert (config.zones["cold1"].stage, config.zones["cold1"].kind) == ("storage", "frozen-store")
    assert set(config.points) == {"cold1-temperature", "cold1-humidity"}
    assert main.read_text("utf-8") == SITE, "people's files are never rewritten"


def test_a_second_unit_joins_the_bus_and_the_zone(main: Path) -> None:
    add(main, FOUND, **NEW_ZONE)
    add(main, FOUND | {"unit": 4}, prefix="cold1b", channels=["temperature"], interval_s=30)
    config = load(main, main.parent / "state").config
    assert list(config.buses) == ["line1"]
    assert (config.devices["cold1b"].unit, config.devices["cold1b"].interval_s) == (4, 30.0)
    assert "cold1b-humidity" not in config.points


@pytest.mark.parametrize(
    ("found", "body", "why", "hint"),
    [
        (FOUND, {"prefix": "Cold 1"}, "is no name", "a-z"),
        (FOUND, {"prefix": "cold1"}, "which zone", "--zone"),
        (FOUND, {"prefix": "cold1", "zone": "cold1"}, "no zone 'cold1'", "--kind"),
        (FOUND, {"prefix": "cold1", "zone": "cold1", "kind": "cutting-room"}, "several stages", "--stage"),
        (FOUND | {"matches": []}, NEW_ZONE, "nobody knows", "--profile"),
        (FOUND | {"matches": [MATCH | {"score": 0.49}]}, NEW_ZONE, "nobody knows", "generic/xy-md02 (49%)"),
        (FOUND | {"state": "garbled"}, NEW_ZONE, "garbles", "line"),
        (FOUND, NEW_ZONE | {"channels": ["temprature"]}, "no channel", "temperature"),
        (FOUND, NEW_ZONE | {"profile": "generic/nope"}, "no device profile", ""),
        (FOUND | {"matches": [MATCH | {"profile": "wellpro/wp8028adam"}]}, NEW_ZONE | {"prefix": "x" * 32}, "", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_is_written(
    main: Path, found: dict[str, Any], body: dict[str, Any], why: str, hint: str
) -> None:
    with pytest.raises(GatewayError) as error:
        add(main, found, **body)
    assert why in error.value.why
    assert hint in error.value.hint
    assert not (main.parent / "state").exists()


def test_a_unit_of_other_settings_does_not_join_the_bus(main: Path) -> None:
    add(main, FOUND, **NEW_ZONE)
    with pytest.raises(GatewayError, match="speaks 4800-8N1, bus 'line1' 9600-8N1"):
        add(main, FOUND | {"framing": "4800-8N1", "unit": 9}, prefix="hall")


def test_names_are_taken_once(main: Path) -> None:
    add(main, FOUND, **NEW_ZONE)
    with pytest.raises(GatewayError, match="a device 'cold1' already"):
        add(main, FOUND | {"unit": 4}, prefix="cold1")


def test_what_the_whole_configuration_refuses_is_not_placed(main: Path) -> None:
    """Two profiles at one address: only the whole configuration can tell."""
    add(main, FOUND, **NEW_ZONE)
    with pytest.raises(GatewayError, match="is device 'cold1' already"):
        add(main, FOUND, prefix="twin", profile="zw/rcl101")
    assert [file.name for file in (main.parent / "state/gateway.d").iterdir()] == ["inbox-cold1.toml"]


def test_a_host_becomes_a_bus_of_its_own(main: Path) -> None:
    found = {key: value for key, value in FOUND.items() if key != "port"} | {"host": "192.0.2.7", "tcp_port": 1502, "framing": ""}
    add(main, found, **NEW_ZONE)
    add(main, found | {"unit": 4}, prefix="cold2")
    config = load(main, main.parent / "state").config
    assert [(id_, bus.kind) for id_, bus in config.buses.items()] == [("tcp1", "tcp")]


BROKER = '[buses.zigbee]\nkind = "mqtt"\nhost = "127.0.0.1"\n'
TOPIC: dict[str, Any] = {"kind": "mqtt", "bus": "zigbee", "topic": "zigbee2mqtt/cold1", "matches": []}


def test_a_topic_becomes_a_device_of_its_broker(main: Path) -> None:
    main.write_text(SITE + BROKER, encoding="utf-8")
    match = {"profile": "zigbee2mqtt/wsdcgq11lm", "score": 1.0, "select": ""}
    add(main, TOPIC | {"matches": [match]}, **NEW_ZONE)
    config = load(main, main.parent / "state").config
    assert (config.devices["cold1"].topic, config.devices["cold1"].unit) == ("zigbee2mqtt/cold1", None)


def test_a_probe_among_several_keeps_its_own_id(main: Path) -> None:
    main.write_text(SITE + BROKER, encoding="utf-8")
    match = {"profile": "tasmota/ds18b20", "score": 1.0, "select": "00000566CC39"}
    add(main, TOPIC | {"matches": [match]}, **NEW_ZONE)
    config = load(main, main.parent / "state").config
    assert {point.select for point in config.points.values()} == {"00000566CC39"}


def test_two_that_fit_alike_are_not_chosen_between(main: Path) -> None:
    main.write_text(SITE + BROKER, encoding="utf-8")
    twins = [{"profile": "zigbee2mqtt/wsdcgq11lm", "score": 1.0}, {"profile": "zigbee2mqtt/other", "score": 1.0}]
    with pytest.raises(GatewayError, match="nobody knows"):
        add(main, TOPIC | {"matches": twins}, **NEW_ZONE)
