"""Minutes in which nothing happens: the watchdog is fed all the same, and systemd restarts nothing."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from edge_gateway.app.watchdog import COMMIT_S
from tests.app.systemd import WATCHDOG_S, Manager, Watched
from tests.cli.site import Plant, config_text


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_idle_minutes_without_a_restart(tmp_path: Path) -> None:
    """Nothing to read, nothing to judge, nothing to deliver: but for its ticks (15 s apart) it would starve. EDGE_GATEWAY_IDLE_S=600 is the long form."""
    idle_s = float(os.environ.get("EDGE_GATEWAY_IDLE_S", "25"))
    with contextlib.closing(Manager(tmp_path)) as manager, Plant() as plant:
        text = config_text(plant.port, interval_s=3600.0)
        with Watched(tmp_path, manager, text, commit_s=COMMIT_S if idle_s > COMMIT_S else 20.0) as gateway:
            manager.expect("READY=1", 20)
            assert manager.longest_hunger_s(idle_s) < WATCHDOG_S
            assert gateway.process.poll() is None
            assert "not fed" not in (tmp_path / "run.log").read_text()
