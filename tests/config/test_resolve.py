"""What the running parts are given, and what a running gateway can take over."""

from __future__ import annotations

import json
from pathlib import Path

from edge_gateway.config.load import Loaded, load
from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.resolve import device_specs, in_force, needs_restart, resolved, setup
from edge_gateway.profiles.payload import PayloadReader
from edge_gateway.reading import Group

SAMPLE = Path(__file__).resolve().parents[2] / "src/edge_gateway/gateway.toml"


def sample(tmp_path: Path, *changes: tuple[str, str]) -> Loaded:
    text = SAMPLE.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    return load(tmp_path / "gateway.toml", running=False)


def config(tmp_path: Path, *changes: tuple[str, str]) -> GatewayConfig:
    return sample(tmp_path, *changes).config


def files(golden: str) -> str:
    """The configuration of one of the mistakes in golden/."""
    return (Path(__file__).parent / f"golden/{golden}.toml").read_text(encoding="utf-8")


def test_specs_of_the_sample(tmp_path: Path) -> None:
    specs = device_specs(sample(tmp_path))
    assert {bus: [device.id for device in devices] for bus, devices in specs.items()} == {
        "line1": ["cold1-th", "hall-cl"], "plc": ["outlet1-ph"], "zigbee": ["door-sensor"],
    }  # fmt: skip
    th = specs["line1"][0]
    assert (th.unit, th.interval_us, [point.id for point in th.points]) == (1, 10_000_000, ["cold1-air", "cold1-rh"])
    assert specs["zigbee"][0].expect_every_us == 3_600_000_000


def test_a_single_probe_without_an_id_needs_no_select(tmp_path: Path) -> None:
    """As its profile says: with a second probe on the line its readings are bad:missing, never the other's."""
    lines = files("select-missing")
    lines = lines.replace("v3/cold@ttn/devices/probes/up", "tele/probes/SENSOR").replace("ttn/uplink", "tasmota/ds18b20")
    (tmp_path / "gateway.toml").write_text(lines, encoding="utf-8")
    (device,) = device_specs(load(tmp_path / "gateway.toml", running=False))["zigbee"]
    reader = PayloadReader(device)
    assert reader.read(b'{"DS18B20":{"Temperature":20.6}}').values == [20.6]
    assert reader.read(b'{"DS18B20-1":{"Temperature":1},"DS18B20-2":{"Temperature":2}}').quality == ["bad:missing"]


def test_a_device_without_points_is_not_read(tmp_path: Path) -> None:
    found = sample(tmp_path, ('[points.hall-chlorine]\ndevice = "hall-cl"', '[points.hall-chlorine]\ndevice = "cold1-th"'),
                   ('channel = "free-chlorine"', 'channel = "humidity"'), ('[points.cold1-rh]\ndevice = "cold1-th"\nchannel = "humidity"', '[points.cold1-rh]\ndevice = "outlet1-ph"\nchannel = "temperature"'))  # fmt: skip
    assert [device.id for device in device_specs(found)["line1"]] == ["cold1-th"]
    assert "hall-cl" in " ".join(warning.why for warning in found.warnings)


def test_the_resolved_text_has_every_address_and_no_secret(tmp_path: Path) -> None:
    found = sample(tmp_path)
    groups = {
        "cold1-th.0": Group(
            id="cold1-th.0", device="cold1-th", points=("cold1-air", "cold1-rh"), interval_us=10_000_000
        )
    }
    document = resolved(found, groups, "1.0")
    text = json.dumps(document)
    for told in ("192.168.1.50", "hub.example.org", "hub-token", "mqtt-password", "/dev/"):
        assert told in text, "where it is, and which file a secret stands in"
    assert document["points"]["cold1-air"]["unit"] == "Cel"
    assert document["groups"]["cold1-th.0"]["points"] == ["cold1-air", "cold1-rh"]
    made = setup(found, groups, "1.0")
    assert set(made.texts) >= {"drivers/generic/xy-md02.toml", "rules/cold-chain.toml"}


def test_what_needs_a_restart(tmp_path: Path) -> None:
    running = config(tmp_path)
    assert needs_restart(running, config(tmp_path)) == ()
    assert needs_restart(running, config(tmp_path, ("interval_s = 10.0", "interval_s = 20.0"))) == ()
    wanted = config(
        tmp_path, ('id = "tlf-007"', 'id = "tlf-008"'), ("commit_every_s = 5.0", "commit_every_s = 1.0"),
        ('database = "edge"', 'database = "other"'), ('name_en = "Turpan example site"', 'name_en = "Renamed"'),
    )  # fmt: skip
    assert needs_restart(running, wanted) == ("journal.commit_every_s", "sinks.influx", "site.id")
    held = in_force(running, wanted)
    assert (held.site.id, held.site.name_en) == ("tlf-007", "Renamed")
    assert (held.journal, held.sinks) == (running.journal, running.sinks)


def test_a_hub_over_mqtt_waits_for_its_brokers_change(tmp_path: Path) -> None:
    over = (
        'via = "http"                        # "http", or "mqtt" (then: bus = a broker of [buses])\nurl = "https://hub.example.org"',
        'via = "mqtt"\nbus = "zigbee"',
    )
    running = config(tmp_path, over)
    assert needs_restart(running, config(tmp_path, over, ("port = 1883", "port = 1884"))) == ("sinks.hub",)
