"""What `status` says of a bus' time and of what its units refuse, out of a running source."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.cli.status import refused_lines, slack
from edge_gateway.cli.verbs import Context
from tests.profiles.devices import device, registers
from tests.sources.modbus_plant import Plant, running, until, words

pytestmark = pytest.mark.timing


def reader(language: str) -> Context:
    return Context(config=Path(), state_dir=Path(), socket=Path(), language=language)


async def test_slack_and_holes_in_both_languages() -> None:
    plant = Plant(words(1, range(10)))
    del plant.registers[(1, 4)]
    await plant.start()
    async with running(plant, [device(registers(0, 10), interval_us=100_000)]) as (source, inbox):
        before = slack(reader("en"), dict(source.health()))
        await until(lambda: len(inbox.items) >= 15)
        health = dict(source.health())
    await plant.stop()
    assert before == "  time left: predicted 75%, measured not yet", "25 ms of 100, as long as nothing is known"
    load = health["load"]
    assert 0 < load["predicted"] < 0.5
    assert 0 < load["measured"] < 0.5
    assert load["slack_predicted"] == pytest.approx(1 - load["predicted"])
    predicted, measured = f"{load['slack_predicted']:.0%}", f"{load['slack_measured']:.0%}"
    assert slack(reader("en"), health) == f"  time left: predicted {predicted}, measured {measured}"
    assert slack(reader("zh"), health) == f"  时间余量: 预计 {predicted}, 实测 {measured}"
    assert slack(reader("en"), {"kind": "mqtt"}) == ""
    english = list(refused_lines(reader("en"), health))
    assert english[0].strip().startswith("unit 1  FC3 4  refused, exception 2  tried again in 9 min")
    chinese = list(refused_lines(reader("zh"), health))
    assert chinese[0].strip().startswith("从站 1  FC3 4  拒绝读取，异常码 2  重试倒计时 9 min")


def test_gaps_and_shorter_requests_are_said_once_a_unit() -> None:
    learned = {
        "holes": [{"function": 3, "first": 5, "last": 6, "exception": 2, "gap": True, "retry_s": 86_000}],
        "most": {"4": 60},
        "full": False,
    }
    devices = {name: {"unit": 9, "learned": learned} for name in ("a", "b")}
    lines = [line.strip() for line in refused_lines(reader("en"), {"devices": devices})]
    assert lines == [
        "unit 9  FC3 5–6  not to be read along  tried again in 23 h 53 min",
        "unit 9  FC4  takes at most this many registers a request: 60",
    ]
