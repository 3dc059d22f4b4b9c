"""A site's own configuration at the simulated plant: its registers, who plays what, what must come of it, and a real run."""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_gateway.config.load import load
from edge_gateway.demo.cast import Cast
from edge_gateway.demo.own_cast import OwnScenario, cast_of, fitted
from edge_gateway.demo.own_config import own_toml
from edge_gateway.demo.own_registers import OwnUnit
from edge_gateway.demo.own_site import OwnSite, read
from edge_gateway.demo.own_world import OwnWorld
from edge_gateway.demo.scenarios import SCENARIOS
from edge_gateway.demo.site_config import Places
from edge_gateway.demo.story import Telling
from edge_gateway.profiles.decode import decoder
from edge_gateway.profiles.load import SEARCH_PATH
from edge_gateway.profiles.load import read as read_profile
from edge_gateway.profiles.model import ModbusProfile, RegisterChannel
from edge_gateway.profiles.plan import plan
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import GOOD
from edge_gateway.rules.base import FIRED
from tests.demo.test_simulate import result, simulate

SITE = """
[site]
id = "tlf-007"
origin = "example.org/xj"
name_zh = "某清洗点"
name_en = "A site"
[zones.deep]
stage = "storage"
kind = "frozen-store"
name_en = "Deep freeze"
name_zh = "速冻库"
[zones.fresh]
stage = "storage"
kind = "chilled-store"
[zones.wash]
stage = "washing"
kind = "cleaning-line"
[buses.stores]
kind = "tcp"
host = "10.0.0.9"
[buses.hall]
kind = "rtu"
port = "/dev/edge-gateway-bus0"
baud = 4800
[buses.mq]
kind = "mqtt"
host = "10.0.0.8"
[devices.deep-th]
bus = "stores"
profile = "generic/xy-md02"
unit = 7
interval_s = 10
[devices.fresh-ctl]
bus = "hall"
profile = "danfoss/ekc-202b"
unit = 3
interval_s = 30
[devices.chlorine]
bus = "hall"
profile = "zw/rcl101"
unit = 4
interval_s = 30
[devices.zig]
bus = "mq"
profile = "zigbee2mqtt/wsdcgq11lm"
topic = "z/1"
expect_every_s = 600
[points.deep-air]
device = "deep-th"
channel = "temperature"
zone = "deep"
[points.fresh-air]
device = "fresh-ctl"
channel = "temperature"
zone = "fresh"
[points.chlorine]
device = "chlorine"
channel = "free-chlorine"
zone = "wash"
[points.zig-air]
device = "zig"
channel = "temperature"
zone = "fresh"
[derived.gap]
kind = "difference"
of = ["fresh-air", "zig-air"]
zone = "fresh"
[rules]
packs = ["cold-chain", "cleaning-water", "instrument-health"]
[rules.override.frozen-store-air]
high = "-20"
violation_after_s = 600
"""


@pytest.fixture
def own(tmp_path: Path) -> OwnSite:
    return site(tmp_path, SITE)


def site(folder: Path, text: str) -> OwnSite:
    (folder / "site.toml").write_text(text, encoding="utf-8")
    (folder / "work").mkdir(exist_ok=True)
    return read(folder / "site.toml", None, lambda _: (), folder / "work")


def test_what_cannot_be_acted_is_named_and_left_out(own: OwnSite) -> None:
    assert own.left_out == (("devices.zig", "bus of kind mqtt"), ("derived.gap", "computed from zig-air"))
    assert own.points_left_out == ("zig-air", "gap")
    assert set(own.points) == {"deep-air", "fresh-air", "chlorine"}
    assert (own.tcp, own.serial) == (("stores",), ("hall",))


def test_nothing_is_wrong_while_nothing_happens(own: OwnSite) -> None:
    """Every point within every limit of its rules for two hours, in the middle of them: also at a site's own tighter number."""
    assert own.rooms == {"deep": -22.0, "fresh": 2.0}
    world = OwnWorld(3, own.rooms, own.signals)
    limits = {rule.point: rule for rule in own.rules if rule.kind == "limit"}
    for _ in range(7200):
        world.step()
        for point, rule in limits.items():
            value = world.value(point)
            assert rule.low is None or value > float(rule.low)
            assert rule.high is None or value < float(rule.high)


def test_the_parts_go_to_the_sites_rooms_and_its_rules(own: OwnSite) -> None:
    cast, parts = cast_of(own)
    assert cast == Cast(
        door_room="deep", stopped_room="deep", unplugged="deep-th", stuck="deep-air", drifting="", bathed="deep-air",
        swapped={"deep-air": "fresh-air", "fresh-air": "deep-air"},
    )  # fmt: skip
    played = {id_: fitted(each, own, parts) for id_, each in SCENARIOS.items()}
    assert {id_ for id_, fit in played.items() if isinstance(fit, tuple)} == {"drift"}
    stopped = played["compressor-stop"]
    assert isinstance(stopped, OwnScenario)
    assert stopped.must == (("frozen-store-air", "deep-air", "violated"),)
    assert stopped.faults([]) == [(stopped.must[0], True)]
    other = ("chilled-store-air", "fresh-air", "violated")
    assert stopped.faults([*stopped.must, other]) == [(other, False)]


def test_a_longer_delay_stretches_the_scenario(tmp_path: Path) -> None:
    slow = SITE.replace('high = "-20"\nviolation_after_s = 600', "").replace("[rules.override.frozen-store-air]", "[rules.state]\ncold-chain = \"shadow\"")
    (tmp_path / "rules").mkdir()
    text = (Path(__file__).resolve().parents[2] / "rules" / "cold-chain.toml").read_text(encoding="utf-8")
    (tmp_path / "rules" / "cold-chain.toml").write_text(text.replace("violation_after_s = 900", "violation_after_s = 5400", 1), encoding="utf-8")
    own = site(tmp_path, slow)
    fit = fitted(SCENARIOS["compressor-stop"], own, cast_of(own)[1])
    assert isinstance(fit, OwnScenario)
    (begun, stopped), (repaired, _) = fit.story
    assert (begun, stopped) == (120, "compressor-stopped")
    assert repaired - begun > 5400
    assert fit.must == (("frozen-store-air", "deep-air", FIRED),)  # a pack in shadow reports nothing
    # and so far the room is beyond its limit long enough
    telling = Telling(1, 60, fit.happenings(1), (OwnWorld(1, own.rooms, own.signals), cast_of(own)[0]))
    beyond = 0
    for at_s in range(fit.lasts_s):
        telling.advance(at_s)
        beyond += telling.probes.value("deep-air") > -18
    assert beyond > 5400


def test_the_gateways_configuration_is_the_sites_own_with_other_buses(own: OwnSite, tmp_path: Path) -> None:
    places = Places(
        tcp_ports={"stores": 5020}, serial={"hall": "/dev/pts/9"}, broker_port=1, hub_url="http://127.0.0.1:1", token_file=tmp_path / "t", hub_vkey="",
        command_vkey="", signer=tmp_path / "s.sock", receiver_url="http://127.0.0.1:2", database="demo", page="127.0.0.1:3", language="en", speed=60,
        origin_us=1, interval_s=60, timeout_s=1.5, mqtt_protocol="3.1.1",
    )  # fmt: skip
    said = tomllib.loads(own_toml(own.tables, places))
    assert said["buses"] == {
        "stores": {"kind": "tcp", "host": "127.0.0.1", "port": 5020, "timeout_s": 1.5},
        "hall": {"kind": "rtu", "port": "/dev/pts/9", "baud": 9600, "timeout_s": 1.5},
    }
    assert said["rules"] == tomllib.loads(SITE)["rules"]
    assert said["zones"] == tomllib.loads(SITE)["zones"]
    assert said["devices"]["deep-th"] == {"bus": "stores", "profile": "generic/xy-md02", "unit": 7, "interval_s": 60.0}
    assert said["site"]["id"] == "tlf-007"


def every_profile() -> list[ModbusProfile]:
    found = []
    for file in sorted(SEARCH_PATH[-1].glob("*/*.toml")):
        loaded = None if file.name.endswith(".cases.toml") else read_profile(file)[0]
        if loaded is not None and isinstance(loaded.profile, ModbusProfile):
            found.append(loaded.profile)
    return found


def test_what_is_laid_into_registers_is_what_the_gateway_reads() -> None:
    """Every channel of every shipped register profile, 20 seeded values each: plan, answer and decode give the value that was meant."""
    profiles, tried, course = every_profile(), 0, random.Random(7)
    assert len(profiles) > 20
    for profile in profiles:
        device = DeviceSpec(id="d", profile=profile, points=tuple(PointSpec(id=name, channel=name) for name in profile.channels), interval_us=1_000_000, unit=1)
        values: dict[str, float] = {}
        unit = OwnUnit(profile, {name: [name] for name in profile.channels}, values.__getitem__)
        for _ in range(20):
            values |= {name: within(channel, course) for name, channel in profile.channels.items()}
            for poll in plan(device):
                points = [point for group in poll.groups for point in group.points]
                for block in poll.blocks:
                    tried += compared(profile, unit, block, points, values)
    assert tried > 5000


def within(channel: RegisterChannel, course: random.Random) -> float:
    low = channel.range_low if channel.range_low is not None else -50.0
    high = channel.range_high if channel.range_high is not None else 200.0
    return course.uniform(min(low, high), max(low, high))


def compared(profile: ModbusProfile, unit: OwnUnit, block: object, points: list[object], values: Mapping[str, float]) -> int:
    start, count, function = block.start, block.count, block.function  # type: ignore[attr-defined]
    answer = unit.answer(bytes([function]) + start.to_bytes(2, "big") + count.to_bytes(2, "big"))
    assert answer.pdu[0] == function, (profile.id, start, count)
    read_back, marks = decoder(block)(answer.data)  # type: ignore[arg-type]
    for number, field in enumerate(block.fields):  # type: ignore[attr-defined]
        name = next(name for name, channel in profile.channels.items() if channel is field.channel)
        assert marks is None or marks[number] == GOOD, (profile.id, name, values[name])
        assert read_back[number] == answer.values[name], (profile.id, name, values[name])
    return len(read_back)


def test_an_address_that_a_device_has_not_is_refused() -> None:
    (profile,) = [each for each in every_profile() if each.id == "zw/rcl101"]
    unit = OwnUnit(profile, {}, lambda _: 0.0)
    assert unit.answer(bytes([3, 0, 0x60, 0, 2])).pdu == bytes([0x83, 2])
    assert unit.answer(bytes([4, 0, 0x40, 0, 2])).pdu == bytes([0x84, 1])
    assert unit.answer(bytes([3, 0])).pdu == bytes([0x83, 3])


def test_faults_of_the_configuration_and_scenarios_that_nobody_can_play_are_said(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE.replace("interval_s = 10", "interval = 10"), encoding="utf-8")
    code, out, err = simulate(tmp_path, "normal", "--config", str(tmp_path / "site.toml"))
    assert (code, out) == (2, "")
    assert "site.toml:" in err
    (tmp_path / "site.toml").write_text(SITE, encoding="utf-8")
    code, out, err = simulate(tmp_path, "drift", "--config", str(tmp_path / "site.toml"))
    assert (code, out) == (2, "")
    assert "drift cannot be acted" in err
    code, out, _ = simulate(tmp_path, "--list", "--json", "--config", str(tmp_path / "site.toml"))
    assert {each["id"] for each in json.loads(out)["scenarios"] if each["cannot"]} == {"drift"}


@pytest.mark.timing
def test_a_sites_own_rules_judge_its_own_points(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE, encoding="utf-8")
    assert load(tmp_path / "site.toml", running=False).config.site.id == "tlf-007"
    kept = tmp_path / "kept"
    code, out, err = simulate(tmp_path, "compressor-stop", "--speed", "150", "--json", "--config", str(tmp_path / "site.toml"), "--record", str(kept))
    assert code == 0, err
    came = result(out)
    assert (came["outcome"], came["site"], came["lost"], came["extra"]) == ("as-it-should", "tlf-007", 0, 0)
    assert came["left_out"] == [["devices.zig", "bus of kind mqtt"], ["derived.gap", "computed from zig-air"]]
    assert came["readings"] > 30
    assert ["frozen-store-air", "deep-air", "violated"] in came["steps"]
    assert "not acted: devices.zig" in err
    assert "no rule judges zig-air, gap in this run" in err
    assert came["points_left_out"] == ["zig-air", "gap"]
    assert "the compressor of Deep freeze stops" in err
