"""Photos with the real gateway and the real hub: never before entries, and no more of them in a day than is allowed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

import pytest

from edge_gateway.shipping.hub import HubDelivery
from tests.cli.site import THAWED, Gateway, Plant, config_text
from tests.regulator_hub.harness import HubProcess, registered

MOST, PART = 150_000, 64 * 1024 + 512


def test_a_large_photo_stops_at_the_days_bound_and_everything_else_goes_on(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "hub")
    (tmp_path / "token").write_text(registered(hub.state_dir))
    (tmp_path / "token").chmod(0o600)
    sink = f'\n[sinks.hub]\nkind = "hub"\nurl = "{hub.url}"\ntoken_file = "token"\nphoto_bytes_per_day = {MOST}\n'
    picture = b"\xff\xd8\xff\xe0" + Random(1).randbytes(500_000)
    (tmp_path / "large.jpg").write_bytes(picture)

    def api(path: str) -> Any:
        with urlopen(f"{hub.url}/api/v1{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def part() -> int:
        return sum(path.stat().st_size for path in (hub.state_dir / "photos").glob("*.part"))

    with Plant() as plant:
        gateway = Gateway(tmp_path, config_text(plant.port, more=sink))
        with hub, gateway:
            told = ("--product", "p", "--supplier", "s", "--kg", "1", "--photo", str(tmp_path / "large.jpg"))
            assert gateway.verb("record", "intake", "A-1", *told).returncode == 0

            def budget() -> dict[str, Any]:
                return dict(gateway.status()["sinks"]["hub"]["photo_receipts"]["budget"])

            gateway.wait(lambda: bool(budget()["until_us"]), "the day's bytes are spent", 30)
            assert MOST <= budget()["used"] < MOST + PART
            held = part()
            assert 0 < held < MOST + PART, "beyond it by one part at most"
            assert "today's bytes are spent" in gateway.verb("status").stdout
            plant.set(1, THAWED)
            began = time.monotonic()
            gateway.wait(lambda: bool(api("/violations")["violations"]), "the violation at the hub", 20)
            assert time.monotonic() - began < 5
            size = int(api("/gateways")["gateways"][0]["epochs"][0]["size"])
            gateway.wait(lambda: int(api("/gateways")["gateways"][0]["epochs"][0]["size"]) > size + 20, "entries go on")
            assert part() == held
        with hub, gateway:  # a restart gives nothing
            gateway.wait(lambda: gateway.status()["sinks"]["hub"]["photos"]["waiting"] == 1, "it is asked for", 20)
            gateway.settle(1.0)
            assert part() == held
        gateway.write(gateway.config.read_text().replace(f"photo_bytes_per_day = {MOST}\n", ""))
        with hub, gateway:  # … and with more it goes on where it stopped
            gateway.wait(lambda: gateway.status()["sinks"]["hub"]["photo_receipts"]["held"] == 1, "the receipt", 30)
        assert [path.read_bytes() for path in (hub.state_dir / "photos").iterdir()] == [picture]


async def test_no_part_goes_while_entries_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def nothing(*_: object, **__: object) -> bool:
        return False

    async def step() -> bool:
        asked.append("part")
        return True

    delivery = HubDelivery.__new__(HubDelivery)
    delivery._stopping = False
    delivery.budget = None
    monkeypatch.setattr(delivery, "_mending", type("M", (), {"mend": nothing})(), raising=False)
    monkeypatch.setattr(delivery, "_witnessing", type("W", (), {"show": nothing})(), raising=False)
    monkeypatch.setattr(delivery, "photos", type("P", (), {"step": staticmethod(step)})(), raising=False)
    delivery.hub = delivery.sink = None  # type: ignore[assignment]
    delivery._sizes = {}
    delivery.progress = type("G", (), {"backlog": 7})()  # type: ignore[assignment]
    assert await delivery.beside() is False
    assert asked == []
    delivery.progress.backlog = 0
    assert await delivery.beside() is True
    assert asked == ["part"]
    delivery.progress.backlog = 7
    monkeypatch.setattr(delivery, "_spent", lambda: True, raising=False)  # no entry may go today: a photo takes nobody's turn
    assert await delivery.beside() is True
    assert asked == ["part", "part"]
