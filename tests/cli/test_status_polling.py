"""What `status` says of a bus' time and of what its units refuse, out of a running source."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.cli.status import polling_lines
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
        before = list(polling_lines(reader("en"), dict(source.health())))
        await until(lambda: len(inbox.items) >= 15)
        health = dict(source.health())
    await plant.stop()
    assert before[0].endswith("measured not yet")
    load = health["load"]
    assert 0 < load["predicted"] < 0.5
    assert 0 < load["measured"] < 0.5
    assert load["slack_predicted"] == pytest.approx(1 - load["predicted"])
    english = list(polling_lines(reader("en"), health))
    assert english[0].split() == [
        "slack", "of", "its", "time:", "predicted", f"{load['slack_predicted']:.0%}", "measured", f"{load['slack_measured']:.0%}",
    ]  # fmt: skip
    assert english[1].strip().startswith("unit 1  FC3 4  refused, exception 2  tried again in 9 min")
    chinese = list(polling_lines(reader("zh"), health))
    assert "时间余量" in chinese[0]
    assert chinese[1].strip().startswith("从站 1  FC3 4  拒绝读取，异常码 2  重试倒计时 9 min")


def test_gaps_and_shorter_requests_are_said_once_a_unit() -> None:
    learned = {
        "holes": [{"function": 3, "first": 5, "last": 6, "exception": 2, "gap": True, "retry_s": 86_000}],
        "most": {"4": 60},
        "full": False,
    }
    devices = {name: {"unit": 9, "learned": learned} for name in ("a", "b")}
    lines = [line.strip() for line in polling_lines(reader("en"), {"devices": devices})]
    assert lines == [
        "unit 9  FC3 5–6  not to be read along  tried again in 23 h 53 min",
        "unit 9  FC4  takes at most this many registers a request: 60",
    ]
