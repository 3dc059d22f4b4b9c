"""A whole site for tests of hub commands: plant, gateway and hub as processes, over HTTP or a real broker; what a person types at both."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from edge_gateway.journal.reading import Reading
from regulator_hub.cli import main
from regulator_hub.gateways import Gateways
from tests.cli.site import FROZEN, THAWED, Gateway, Plant, config_text
from tests.regulator_hub.harness import GATEWAY, HubProcess
from tests.servers.mosquitto import Mosquitto


@dataclass
class Commanded:
    """``gateway`` obeys ``hub``."""

    hub: HubProcess
    gateway: Gateway
    plant: Plant

    def type(self, *words: str, want: int = 0) -> str:
        """What `regulator-hub` prints."""
        command = [sys.executable, "-m", "regulator_hub.cli", *words, "--state-dir", str(self.hub.state_dir)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == want, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def asked(self, verb: str, violation: str, *more: str, want: int = 0, wait: str = "20") -> dict[str, Any]:
        """A command by Li Hua, and what became of it."""
        words = ("--by", "Li Hua", "--reason", "seen at the desk", "--wait", wait, "--json")
        return dict(json.loads(self.type("violations", verb, violation, *words, *more, want=want)))

    def violation(self, unit: int = 1) -> str:
        """The id of one that opens now; it is over again, and known to the hub, on return."""
        known = {each["violation"] for each in self.seen()}
        self.plant.set(unit, THAWED)
        self.gateway.wait(lambda: any(v["violated"] for v in self.seen() if v["violation"] not in known), "a violation at the hub")
        self.plant.set(unit, FROZEN)
        (name,) = {each["violation"] for each in self.seen()} - known
        self.gateway.wait(lambda: self.shown(name)["condition"] == "recovered", "recovered at the hub")
        return str(name)

    def seen(self) -> list[dict[str, Any]]:
        """What stands open, as the hub tells it."""
        return list(self._looked("list")["violations"])

    def shown(self, violation: str) -> dict[str, Any]:
        """One of them, whole."""
        return dict(self._looked("show", violation)["violation"])

    def _looked(self, *words: str) -> Any:
        """The verb in this process: whoever waits looks again and again, and a program for each look keeps a core busy."""
        said = CliRunner().invoke(main, ["violations", *words, "--json", "--state-dir", str(self.hub.state_dir)], catch_exceptions=False)
        assert said.exit_code == 0, (words, said.output)
        return json.loads(said.stdout)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The gateway's own record."""
        with contextlib.closing(Reading(self.gateway.state)) as journal:
            return [entry for _, entry in journal.entries() if entry["kind"] == kind]


@contextmanager
def commanded(folder: Path, *, via: str = "http", more: str = "", vkey: str = "") -> Iterator[Commanded]:
    """Everything runs until the block ends. ``more`` configuration of the gateway; ``vkey`` instead of the hub's."""
    with contextlib.ExitStack() as stack:
        toml = bus = ""
        if via == "mqtt":
            broker = stack.enter_context(Mosquitto(folder / "broker"))
            toml = f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
            bus = f'\n[buses.broker]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\n'
        hub = HubProcess(folder / "hub", toml=toml)
        hub.state_dir.mkdir(mode=0o700, parents=True)
        token = folder / "token"
        token.write_text(Gateways(hub.state_dir / "gateways").add(GATEWAY, mqtt=via == "mqtt", wall_us=0))
        token.chmod(0o600)
        stack.enter_context(hub)
        plant = stack.enter_context(Plant())
        way = 'via = "mqtt"\nbus = "broker"\n' if via == "mqtt" else f'url = "{hub.url}"\n'
        found = Commanded(hub, Gateway(folder, ""), plant)
        key = vkey or found.type("command-key").strip()
        sink = f'{bus}\n[sinks.hub]\nkind = "hub"\n{way}token_file = "{token}"\ncommand_vkey = "{key}"\n'
        found.gateway.write(config_text(plant.port, interval_s=0.2, more=sink + more))
        stack.enter_context(found.gateway)
        yield found
