"""The audit campaign: every way to change something leaves who, when, old, new and why; a way that nobody listed is a fault.

`python -m tests.faults.audit` (as root: real users try to read the key and to write the journal): the routes of page, control socket and hub, the verbs of both programs and the keys of the configuration are
enumerated from the programs themselves; each that changes state is taken on a real gateway or hub, and the record is read back from
outside. The last line is JSON; exit 1 when something left no trace, or is in no row.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import click
from pydantic import BaseModel

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import VERBS, run
from edge_gateway.config.load import load
from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.resolve import resolved
from edge_gateway.journal.reading import Reading
from edge_gateway.page.control import control_app
from edge_gateway.page.site import QUARANTINE_STEPS
from edge_gateway.page.web import page_app
from edge_gateway.violations import TABLE
from edge_gateway.violations.persons import ENTRY_STEP
from edge_gateway.violations.table import STATE
from edge_gateway.wire.command import VERBS as COMMANDS
from regulator_hub import cli as hub_cli
from regulator_hub.app import web
from regulator_hub.config import HubToml
from tests.cli.site import FROZEN, THAWED, Gateway, config_text
from tests.cli.test_quarantine import Receiver
from tests.faults import results, rights
from tests.provision.unit import SimulatedUnit, TcpUnits
from tests.regulator_hub import record
from tests.regulator_hub.commanded import commanded
from tests.regulator_hub.harness import GATEWAY, OTHER, HubProcess, gateway
from tests.regulator_hub.signing import Hand
from tests.servers.process import REPOSITORY, free_port
from tests.servers.sim_bus import SimUnit
from tests.servers.unknown_bus import UnknownBus

#: Why a route or verb needs no row of its own.
READS = "changes nothing"
FILES = "writes a person's own file; what comes into force of it is a config entry"
PROGRAM = "starts or ends a program; its start is an entry"
RECORD = "is the record itself on its way, under the gateway's token"
WITNESS = "is a signed checkpoint; what is said to it is kept with it, or as evidence"
#: What a person can put on record of a lot, in a route.
RECORDS = ("intake", "lot", "dispatch", "document", "void")
#: Path → the event or kind that it leaves, or why none. ``{verb}`` is written out.
ROUTES = {
    "POST control /v1/violations": "violated",
    **{f"POST control /v1/violations/{{id}}/{verb}": ENTRY_STEP[verb] for verb in TABLE},
    "POST control /v1/people/add": "people-changed",
    "POST control /v1/people/remove": "people-changed",
    "POST control /v1/photos": FILES,
    "POST control /v1/phase/next": "phase",
    "POST control /v1/phase/sign": "phase",
    "POST control /v1/calibrations": "calibration",
    "POST control /v1/calibrations/correct": "calibration",
    "POST control /v1/marks": "mark",
    "POST control /v1/marks/{id}/extend": "mark",
    "POST control /v1/marks/{id}/end": "mark",
    **{f"POST control /v1/records/{kind}": "record" for kind in RECORDS},
    "POST control /v1/rules/{pack}/state": "pack-state-changed",
    "POST control /v1/read": READS,
    "POST control /v1/reload": "config",
    "POST control /v1/provision/diff": READS,
    "POST control /v1/provision/verify": "provision-verified",
    "POST control /v1/provision/apply": "provision-started",
    "POST control /v1/quarantine/retry": "quarantine-retry",
    "POST control /v1/quarantine/drop": "quarantine-drop",
    "POST control /v1/scan": "scan-asked",
    "POST control /v1/inbox/{id:int}/ignore": "inbox-ignored",
    "POST control /v1/inbox/{id:int}/add": "inbox-added",
    "POST control /v1/journal/shorten": "keep-time-shortened",
    "POST control /v1/journal/release": "hub-released",
    "POST hub /api/v1/gateways/{gateway}/entries": RECORD,
    "POST hub /api/v1/witness/add-checkpoint": WITNESS,
}
#: What stands for ``{verb}`` in a route.
STEPS_OF = {
    "/v1/violations/{id}/{verb}": tuple(TABLE), "/v1/quarantine/{verb}": QUARANTINE_STEPS, "/v1/provision/{verb}": ("diff", "verify", "apply"),
    "/v1/journal/{verb}": ("shorten", "release"), "/v1/people/{verb}": ("add", "remove"), "/v1/records/{kind}": RECORDS,
}  # fmt: skip
GATEWAY_VERBS = {
    "init": FILES, "run": "config", "check": READS, "scan": "scan-asked", "inbox list": READS, "inbox add": "inbox-added",
    "inbox ignore": "inbox-ignored", "read": READS, "watch": READS, "status": READS, "doctor": READS, "doctor bus": READS,
    "violations list": READS, "violations show": READS, "violations ack": "acknowledged", "violations correct": "correcting",
    "violations submit": "submitted", "violations return": "returned", "violations close": "closed", "violations open": "violated",
    "violations withdraw": "withdrawn", "people list": READS, "people add": "people-changed", "people remove": "people-changed",
    "phase show": READS, "phase next": "phase", "phase sign": "phase", "calibrate list": READS, "calibrate found": "calibration",
    "calibrate left": "calibration", "calibrate correct": "calibration", "rules cards": READS, "rules explain": READS, "rules list": READS, "mark list": READS, "mark start": "mark", "mark extend": "mark", "mark end": "mark", "record list": READS, "record show": READS,
    "record trace": READS, **{f"record {kind}": "record" for kind in ("intake", "lot", "dispatch", "document", "void")},
    "replay": READS, "simulate": READS, "rules backtest": READS, "rules state": "pack-state-changed", "photo add": FILES, "photo save": READS, "rules check": READS, "rules test": READS, "rules sign": FILES, "quarantine list": READS,
    "quarantine retry": "quarantine-retry", "quarantine drop": "quarantine-drop", "provision diff": READS,
    "provision apply": "provision-started", "provision verify": "provision-verified", "journal verify": READS,
    "journal export": READS, "journal prove": READS, "journal recompute": READS, "journal gaps": READS, "journal availability": READS,
    "journal shorten": "keep-time-shortened", "journal release": "hub-released",
    "drivers list": READS, "drivers show": READS, "drivers test": READS, "drivers new": FILES, "signer run": PROGRAM, "signer key": READS,
    "backup": READS, "restore": "restored", "replace": "restored",
    "export": READS, "schema": READS, "demo": PROGRAM,
}  # fmt: skip
HUB_VERBS = {
    "run": "configuration", "gateways": READS, "gateways list": READS, "key": READS, "steps": READS, "gateways add": "gateway-added",
    "gateways key": "gateway-key", "gateways accept": "epoch-accepted", "command-key": READS, "violations list": READS, "violations show": READS,
    "violations return": "violation-return", "violations verify": "violation-verify", "violations extend": "violation-extend",
    "violations refer": "violation-refer",
}  # fmt: skip
#: What a gateway's record must tell of each command of the hub that it carried out.
COMMAND_TELLS = ("by", "wall_us", "reason", "verb", "violation", "old", "new", "note", "hub", "id")
#: What each line of the hub's own record must tell.
STEP_TELLS = ("at_us", "by", "what", "about", "old", "new", "why")
#: What each entry must tell, by its keys: who, when, why; old; new.
TELLS = {
    **{ENTRY_STEP[verb]: ("by", "proof", "wall_us", "reason", "before", "handling") for verb in TABLE if verb != STATE},
    "extended": ("by", "proof", "wall_us", "reason", "deadline", "old_us", "new_us"),
    "mark": ("by", "wall_us", "reason", "step", "type", "points", "until_wall_us"),
    "phase": ("by", "wall_us", "reason", "step", "phase"),
    "record": ("by", "wall_us", "type", "record", "reason"),
    "pack-state-changed": ("by", "user", "wall_us", "why", "old", "new"),
    "people-changed": ("by", "wall_us", "why", "new"),
    "proof-failed": ("by", "wall_us", "name", "what"),
    "config": ("by", "wall_us", "reason", "changes"),
    "provision-started": ("by", "user", "wall_us", "why", "old", "new"),
    "provision-verified": ("by", "wall_us", "parameters"),
    "quarantine-retry": ("by", "wall_us", "why", "old", "result"),
    "quarantine-drop": ("by", "wall_us", "why", "old", "result"),
    "scan-asked": ("by", "wall_us", "why", "target"),
    "inbox-added": ("by", "wall_us", "why", "old", "new", "file"),
    "restored": ("by", "wall_us", "why", "old", "new", "reason"),
    "inbox-ignored": ("by", "wall_us", "why", "old", "new", "item"),
    "keep-time-shortened": ("by", "wall_us", "why", "old", "new", "key"),
    "hub-released": ("by", "wall_us", "why", "hub", "until", "unwitnessed"),
    "epoch-released": ("by", "wall_us", "why", "epoch", "size"),
}


@dataclass
class Found:
    """What the campaign saw. ``unlisted`` and ``silent`` must be empty."""

    ways: int = 0
    recorded: int = 0
    keys: int = 0
    unlisted: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return self.recorded > 0 and self.keys > 0 and not (self.unlisted or self.gone or self.silent)


# --- what there is ------------------------------------------------------------------------------------------------------


def routes() -> set[str]:
    """Every route of gateway and hub that takes something else than GET and HEAD, or an own method for it."""
    apps = {"control": control_app(mock.MagicMock()), "page": page_app(mock.MagicMock(), mock.MagicMock()), "hub": _hub_app()}
    found = set()
    for name, app in apps.items():
        for route in _unwrapped(app).routes:
            for method in (getattr(route, "methods", None) or set()) - {"GET", "HEAD"}:
                for verb in STEPS_OF.get(route.path, ("{verb}",)):
                    found.add(f"{method} {name} {route.path.replace('{verb}', verb).replace('{kind}', verb if route.path in STEPS_OF else '{kind}')}")
    return found


def _hub_app() -> Any:
    hub = mock.MagicMock()
    hub.config.readers = "anyone"
    page = mock.MagicMock()
    page.routes.return_value = []
    return web(hub, page)


def _unwrapped(app: Any) -> Any:
    while not hasattr(app, "routes"):
        app = app._app
    return app


def verbs(command: click.Command, path: str = "") -> Iterator[str]:
    """Every verb below a command; a group that does something by itself counts too."""
    if not isinstance(command, click.Group):
        yield path
        return
    if path and command.invoke_without_command:
        yield path
    for name, below in command.commands.items():
        yield from verbs(below, f"{path} {name}".strip())


def gateway_verbs() -> set[str]:
    found = set()
    for name, (module, _, _) in VERBS.items():
        found |= set(verbs(importlib.import_module(f"edge_gateway.cli.{module}").command, name))
    return found


def leaves(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of each key of a configuration."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> None:
    """Every table that a configuration may have."""
    if model in seen:
        return
    seen.add(model)
    for about in model.model_fields.values():
        waiting = [about.annotation]
        while waiting:
            kind = waiting.pop()
            waiting += get_args(kind)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                models(kind, seen)


def untold(config: Path) -> tuple[int, list[str]]:
    """How many keys a configuration has, and those whose change would show nowhere in what is journaled of it."""
    loaded = load(config, running=False)
    document = resolved(loaded, {}, "t")
    told = dict(leaves(document)) | dict(leaves(document["settings"]))
    keys = list(leaves(loaded.config.model_dump(mode="json", exclude_none=True)))
    return len(keys), [".".join(path) for path, value in keys if path not in told or told[path] != value]


def hidden() -> list[str]:
    """Keys of any table that are left out when it is written down."""
    seen: set[type[BaseModel]] = set()
    models(GatewayConfig, seen)
    return [f"{model.__name__}.{name}" for model in seen for name, about in model.model_fields.items() if about.exclude]


# --- taken on a real gateway --------------------------------------------------------------------------------------------


class Exercise:
    """A gateway on which every verb is used once, and its record read."""

    def __init__(self, folder: Path, line: TcpUnits, receiver: Receiver) -> None:
        sink = f'\n[sinks.influx]\nkind = "influxdb1"\nurl = "http://127.0.0.1:{receiver.server_port}"\ndatabase = "edge"\n'
        hub = f'\n[sinks.county]\nkind = "hub"\nurl = "http://127.0.0.1:{free_port()}"\ntoken_file = "token"\n'
        (folder / "token").write_text("t" * 40)
        (folder / "token").chmod(0o600)
        self.units = line.units
        self.gateway = Gateway(folder, config_text(line.port, page=f"127.0.0.1:{free_port()}", interval_s=0.5, more=sink + hub))
        self.client = Client(self.gateway.state / "control.sock")

    def run(self) -> list[dict[str, Any]]:
        """All of it; the entries."""
        gateway = self.gateway
        with gateway:
            self._violation()
            self._mark_and_record()
            with UnknownBus([SimUnit(2, {(4, 1): 213, (4, 2): 456}), SimUnit(5, {(3, 0x40): 0x3F00, (3, 0x41): 0})]) as bus:
                self._verb("scan", bus.path, "--line", "9600-8N1", "--addresses", "1-6", "--listen", "0.2")
            first, second = json.loads(self._verb("inbox", "list", "--json"))["items"]
            self._verb("inbox", "ignore", str(second["id"]), "--reason", "not ours")
            self._verb("inbox", "add", str(first["id"]), "--as", "extra", "--zone", "cold1")
            self._verb("provision", "verify", "cold1-th")
            self._verb("provision", "apply", "cold1-th", "--by", "Li Wei", "--why", "new probe", "--yes", "--expect", "temperature-correction=0.5")
            self._quarantine()
            gateway.write(gateway.config.read_text().replace("timeout_s = 1.0", "timeout_s = 0.9"))
            self.client.post("/v1/reload", {"reason": "the converter is slow"})
            text = gateway.config.read_text().replace('trust = "declared"', 'trust = "declared"\nhold_s = 100.0')
            text = text.partition("\n[sinks.county]")[0].replace("[journal]", "[journal]\nkeep_days = 400")
            gateway.write(text.replace('listen = "', 'language = "en"\nlisten = "', 1))
        with gateway:
            self._verb("journal", "shorten", "400", "--reason", "as agreed")
            self._verb("journal", "release", "--hub", "county", "--reason", "moved away")
            ended = gateway.status()["journal"]["epoch"]
        file = gateway.folder / "site.backup"
        self._verb("backup", str(file))
        gateway.state.rename(gateway.folder / "before")
        self._verb("restore", str(file), "--keep-config", "--reason", "the card died")
        with gateway:
            gateway.settle(1.0)
            self._verb("journal", "release", "--epoch", ended, "--reason", "its end was lost with the card")
        with contextlib.closing(Reading(gateway.state)) as journal:
            return [entry for _, entry in journal.entries()]

    def _verb(self, *words: str) -> str:
        """As the program runs it, without the start of a program each."""
        out, err = io.StringIO(), io.StringIO()
        where = ("--config", str(self.gateway.config), "--state", str(self.gateway.state))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.dict(os.environ, EDGE_GATEWAY_LANG="en"):
            code = run([*words, *where])
        assert code in (0, 1), (words, out.getvalue(), err.getvalue())
        return out.getvalue()

    def _violation(self) -> None:
        """Every step of a person on one violation, which a second person closes, and on another, which is withdrawn."""
        for name in ("wang", "limin"):
            (self.gateway.folder / name).write_text(f"seven quiet geese of {name}\n")
            self._verb("people", "add", name, "--role", "quality", "--secret-file", str(self.gateway.folder / name), "--reason", "a new hand")
        self._verb("people", "add", "gone", "--role", "quality", "--secret-file", str(self.gateway.folder / "wang"), "--reason", "for a day")
        self._verb("people", "remove", "gone", "--reason", "the day is over")
        one = self._broken()
        self._verb("violations", "ack", one, "--reason", "the door")
        self._verb("violations", "correct", one, "--cause", "door", "--no-lots", "--product", "none", "--reason", "shut")
        self._verb("violations", "submit", one, "--reason", "shut", *self._as("wang"))
        due = next(each["due"] for each in self._open() if each["violation"] == one)
        proof = {"as": "limin", "secret": "seven quiet geese of limin", "reason": "the clerk is away"}
        self.client.post(f"/v1/violations/{one}/extend", proof | {"what": "verify", "to_us": due["verify"] + 3_600_000_000})
        self.client.post(f"/v1/violations/{one}/refer", proof | {"to": "ecology"})
        self._verb("violations", "return", one, "--reason", "no photo", *self._as("limin"))
        self._verb("violations", "submit", one, "--reason", "shut", *self._as("wang"))
        self._verb("violations", "close", one, "--reason", "seen", "--as", "limin", "--secret-file", str(self.gateway.folder / "wang"))
        self._verb("violations", "close", one, "--reason", "seen", *self._as("limin"))
        two = self._verb("violations", "open", "--title", "a cracked tile", "--severity", "minor", "--zone", "cold1", "--reason", "seen").split()[0]
        self._verb("violations", "withdraw", two, "--reason", "it is a shadow", *self._as("wang"))
        self._verb("violations", "withdraw", two, "--drop", "--reason", "it is none", *self._as("wang"))
        self._verb("violations", "withdraw", two, "--reason", "it is a shadow", *self._as("wang"))
        self._verb("violations", "withdraw", two, "--confirm", "--reason", "a shadow", *self._as("limin"))

    def _mark_and_record(self) -> None:
        mark = json.loads(self._verb("mark", "start", "cleaning", "--zone", "cold2", "--for", "20m", "--reason", "the drain", "--json"))["mark"]
        self._verb("mark", "extend", mark, "--for", "30m", "--reason", "more of it")
        self._verb("mark", "end", mark, "--reason", "done")
        self._verb("phase", "next", "--reason", "the day begins")
        self._verb("phase", "sign", "machine-tools", "--reason", "all sound")
        lot = ("--product", "tripe", "--supplier", "Slaughterhouse 3", "--kg", "120", "--zone", "cold1")
        record_ = json.loads(self._verb("record", "intake", "A-1", *lot, "--reason", "as always", "--json"))["record"]
        self._verb("record", "void", record_, "--reason", "weighed twice")
        second = ("--second", "limin", "--secret-file", str(self.gateway.folder / "limin"))
        self._verb("rules", "state", "house", "shadow", "--by", "wang", "--reason", "a probe moved", *second)
        self._verb("rules", "state", "house", "enforced", "--by", "wang", "--reason", "it holds")

    def _as(self, name: str) -> tuple[str, ...]:
        return ("--as", name, "--secret-file", str(self.gateway.folder / name))

    def _open(self) -> list[dict[str, Any]]:
        return list(self.client.get("/v1/violations")["violations"])

    def _broken(self) -> str:
        self.units[0].input[1] = THAWED

        def broken() -> list[dict[str, Any]]:
            return [each for each in self._open() if each["level"] == "violation"]

        self.gateway.wait(lambda: bool(broken()), "a violation")
        self.units[0].input[1] = FROZEN
        self.gateway.wait(lambda: broken()[0]["condition"] == "recovered", "recovered")
        return str(broken()[0]["violation"])

    def _quarantine(self) -> None:
        def items() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self.client.get("/v1/quarantine")["items"]
            return found

        self.gateway.wait(lambda: len(items()) >= 2, "refused lines", 40)
        first, second = items()[:2]
        self._verb("quarantine", "retry", str(first["id"]))
        self._verb("quarantine", "drop", str(second["id"]), "--reason", "tried out")


def trace(entries: list[dict[str, Any]], what: str) -> str:
    """"" if an entry tells all that it must of this; else what is wrong."""
    mine = [e for e in entries if what in (e.get("event"), e["kind"], e.get("step") if e["kind"] == "violation" else "")]
    if what == "config":
        mine = [e for e in mine if e.get("changes")]
    if not mine:
        return f"{what}: no entry"
    for entry in mine:
        missing = [key for key in TELLS[what] if not entry.get(key)]
        if missing:
            return f"{what}: {', '.join(missing)} is not told"
    return ""


def changed(entries: list[dict[str, Any]], key: str) -> tuple[Any, Any, str, str]:
    """(old, new, who, why) of a configuration's key."""
    for entry in entries:
        for change in entry.get("changes", []) if entry["kind"] == "config" else []:
            if change["key"].endswith(key):
                return change["old"], change["new"], entry["by"], entry["reason"]
    return None, None, "", ""


def sample(folder: Path) -> Path:
    """The configuration that `init` writes: tables of every kind."""
    path = folder / "sample.toml"
    path.write_text((REPOSITORY / "src/edge_gateway/gateway.toml").read_text("utf-8"), "utf-8")
    return path


def listed(there: set[str], rows: Mapping[str, str], found: Found) -> None:
    """Every way has a row, and every row is a way."""
    found.ways += len(there)
    found.unlisted += sorted(there - rows.keys())
    found.gone += sorted(rows.keys() - there)


def units() -> list[SimulatedUnit]:
    """Three transmitters, the first with a wrong correction."""
    holding = [{0x101: unit, 0x102: 0, 0x103: 5 if unit == 1 else 0, 0x104: 0} for unit in (1, 2, 3)]
    return [SimulatedUnit(input={1: FROZEN, 2: 800}, holding=held, unit=held[0x101], address_at=0x101, later=True) for held in holding]


def gateway_side(folder: Path, found: Found) -> list[dict[str, Any]]:
    """Enumerate and exercise the gateway; its entries."""
    listed(routes(), ROUTES, found)
    listed(gateway_verbs(), GATEWAY_VERBS, found)
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    try:
        with TcpUnits(*units()) as line:
            exercise = Exercise(folder, line, receiver)
            entries = exercise.run()
            found.keys, silent = untold(exercise.gateway.config)
    finally:
        receiver.shutdown()
        receiver.server_close()
    found.silent += [f"key {key}" for key in [*silent, *hidden()]]
    for what in TELLS:
        wrong = trace(entries, what)
        found.silent += [wrong] if wrong else []
        found.recorded += not wrong
    for key, old, new in (("buses.plc.timeout_s", 1, 0.9), ("clock.hold_s", 86400, 100), ("page.language", "zh", "en")):
        told = changed(entries, key)
        if told[:2] != (old, new) or not all(told[2:]):
            found.silent.append(f"key {key}: {told}")
    return entries


def hub_side(folder: Path, found: Found) -> list[dict[str, Any]]:
    """Enumerate and exercise the hub's verbs and keys; its steps."""
    listed(set(verbs(hub_cli.main)), HUB_VERBS, found)
    hub = HubProcess(folder / "hub", toml="dark_after_s = 60.0\n")
    state = ("--state-dir", str(hub.state_dir))

    def done(*words: str) -> str:
        answer = subprocess.run([sys.executable, "-m", "regulator_hub.cli", *words, *state], capture_output=True, text=True, check=False)
        assert answer.returncode == 0, (words, answer.stderr)
        return answer.stdout

    with hub:
        token = done("gateways", "add", GATEWAY, "--reason", "a new site").strip()
        done("gateways", "key", GATEWAY, Hand(1).vkey, "--reason", "read from its sticker")
        done("gateways", "key", GATEWAY, Hand(2).vkey, "--replace", "--reason", "a new board")
        asyncio.run(_two_epochs(hub.url, token))
        done("gateways", "accept", GATEWAY, OTHER, "--reason", "a new card")
    (hub.folder / "hub.toml").write_text("dark_after_s = 90.0\n")
    with hub:
        pass
    steps: list[dict[str, Any]] = json.loads(done("steps", "--json"))["steps"]
    for verb, what in HUB_VERBS.items():
        if str(what).startswith("violation-"):
            continue  # they need a gateway: ``commands_side``
        mine = [step for step in steps if step["what"] == what]
        missing = [key for step in mine for key in STEP_TELLS if key not in step or (key not in ("old", "new") and not step[key])]
        if what not in (READS, PROGRAM) and (not mine or missing):
            found.silent.append(f"regulator-hub {verb}: {missing or 'no step'}")
        found.recorded += bool(mine) and not missing
    keys = {step["about"] for step in steps if step["what"] == "configuration"}
    every = {".".join(path) for path, _ in leaves(HubToml(state_dir=hub.state_dir).model_dump(mode="json", exclude_none=True))}
    found.keys += len(every)
    found.silent += [f"key {key} of hub.toml" for key in every - keys]
    changes = [(step["old"], step["new"]) for step in steps if step["about"] == "dark_after_s"]
    if changes != [(None, 60.0), (60.0, 90.0)]:
        found.silent.append(f"key dark_after_s of hub.toml: {changes}")
    return steps


def commands_side(folder: Path, found: Found) -> list[dict[str, Any]]:
    """Every hub command, at a real gateway: who, when, old, new and why stand in its record; the record's ``command`` entries."""
    with commanded(folder) as site:
        one, two = site.violation(1), site.violation(2)
        for name in (one, two):
            for words in (("ack",), ("correct", "--cause", "door", "--no-lots", "--product", "none"), ("submit",)):
                done = site.gateway.verb("violations", words[0], name, *words[1:], "--reason", "because")
                assert done.returncode == 0, done.stderr
        site.gateway.wait(lambda: all(site.shown(name)["handling"] == "submitted" for name in (one, two)), "submitted at the hub")
        until = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 10 * 86_400))
        site.asked("refer", one, "--to", "ecology")
        site.asked("extend", one, "--deadline", "verify", "--until", until)
        site.asked("return", one)
        site.asked("verify", two)
        entries, steps = site.entries("command"), json.loads(site.type("steps", "--json"))["steps"]
    for verb in COMMANDS:
        mine = [entry for entry in entries if entry.get("verb") == verb and entry["outcome"] == "executed"]
        missing = [key for entry in mine for key in COMMAND_TELLS if not entry.get(key)]
        mine += [step for step in steps if step["what"] == f"violation-{verb}"]
        missing += [key for step in mine[1:] for key in STEP_TELLS if not step.get(key)]
        if len(mine) != 2 or missing:
            found.silent.append(f"hub command {verb}: {missing or 'no entry, or no step at the hub'}")
        found.ways += 1
        found.recorded += len(mine) == 2 and not missing
    return entries


async def _two_epochs(url: str, token: str) -> None:
    async with gateway(url, token) as site:
        await site.entries(0, record.start())
        await site.entries(0, record.start(), OTHER)


def campaign(folder: Path) -> dict[str, Any]:
    """Run it; the JSON-able result with `passed`."""
    began = time.monotonic()
    found = Found()
    gateway_side(folder, found)
    hub_side(folder, found)
    commands_side(folder / "commands", found)
    keys, silent = untold(sample(folder))
    found.keys += keys
    found.silent += [f"key {key}" for key in silent]
    differs = rights.differences()
    found.silent += [f"{who} may not do, and can (or the reverse): {', '.join(what)}" for who, what in differs.items()]
    counts = dict(vars(found)) | {"n": found.ways + found.keys, "seconds": round(time.monotonic() - began, 1)}
    return counts | {"passed": found.sound}


def main() -> int:
    """Entry point."""
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        result = campaign(Path(folder))
    results.append("audit", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
