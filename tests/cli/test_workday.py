"""A line's contact begins production at the running gateway, with open items; commands and page say so."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.cli.site import Gateway, Plant, config_text
from tests.servers.process import free_port

pytestmark = pytest.mark.timing

#: The third probe stands for the line: 50.0 while it runs.
RUNNING = 500
WORKDAY = """
[workday]
contact = "cold3-air"
running = 50.0
running_for_s = 0.5
standing_for_s = 0.5
begin = { closed = "04:00" }
"""


def test_the_line_begins_the_day(tmp_path: Path) -> None:
    port = free_port()
    with Plant() as plant, Gateway(tmp_path, config_text(plant.port, page=f"127.0.0.1:{port}", more=WORKDAY)) as gateway:
        gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "readings")
        gateway.wait(lambda: "the line stands" in gateway.verb("phase", "show").stdout, "the contact is known")
        plant.set(3, RUNNING)
        gateway.wait(lambda: gateway.status()["phase"]["phase"] == "production", "production")
        told = gateway.status()["phase"]
        assert (told["how"], told["by"], len(told["left"]), told["contact"]) == ("contact", "edge-gateway", 7, {"point": "cold3-air", "runs": True})
        shown = gateway.verb("phase", "show").stdout
        assert "production  since" in shown
        assert "by the line's contact" in shown
        assert "begun with open items: people-health, machine-steriliser" in shown
        assert "by schedule: closed at" in shown
        assert "由生产线触点" in gateway.verb("--lang", "zh", "phase", "show").stdout
        steps = json.loads(gateway.verb("phase", "show", "--json").stdout)
        assert steps["schedule"]["phase"] == "closed"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/?lang=zh") as page:
            text = page.read().decode()
        assert "时段：生产中" in text
        assert "带着未完成项进入：人：健康证有效" in text
        plant.set(3, -190)
        gateway.wait(lambda: gateway.status()["phase"]["phase"] == "closing", "closing")
    assert "Traceback" not in gateway.log()
