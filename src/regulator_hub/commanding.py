"""From what the hub knows of a violation to a signed command about it, and to the gateway's answer; asks nobody who may."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge_gateway.commands import state_of
from edge_gateway.errors import GatewayError
from edge_gateway.violations import FINDING
from edge_gateway.wire.command import EXTEND, RETURN, VERIFY, HubCommand
from regulator_hub.commander import Commander
from regulator_hub.config import HubToml
from regulator_hub.glance import Glance
from regulator_hub.outbox import Outbox
from regulator_hub.steps import Steps
from regulator_hub.view import View

#: How often the record is looked at for an answer (seconds).
LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants: ``violation`` is the row's name in the view; ``more`` has ``deadline`` and ``until_us``, or ``to``; ``valid_us`` how long it may be carried out."""

    verb: str
    violation: str
    by: str
    reason: str
    more: Mapping[str, Any]
    valid_us: int


def give(config: HubToml, view: View, wish: Wish, now_us: int) -> tuple[HubCommand, bytes]:
    """Sign it, note who gave it, keep it for the gateway: durable on return. Raises GatewayError, ConfigError."""
    step = view.state["violations"][wish.violation]
    epoch, seq = opening(step)
    command = HubCommand(
        id=secrets.token_hex(16), gateway=view.gateway, epoch=epoch, opened=seq, violation=step["violation"], verb=wish.verb,
        expected=state_of(step), issued_us=_whole(now_us), expires_us=_whole(now_us + wish.valid_us), by=wish.by, reason=wish.reason,
        **wish.more,
    )  # fmt: skip
    permitted(command, step, now_us)
    note = Commander(config.witness_folder, config.name, born=False).signed(command)
    new = {"verb": wish.verb, "by": wish.by, "id": command.id, **wish.more}
    about, old = f"{view.gateway}/{wish.violation}", str(command.expected)
    def noted() -> None:
        Steps(config.state_dir).note(f"violation-{wish.verb}", about, old=old, new=new, why=wish.reason, wall_us=now_us)

    Outbox(config.state_dir).put(command, note, noted)
    return command, note


def opening(step: Mapping[str, Any]) -> tuple[str, int]:
    """Epoch and number of the entry that opened it. Raises GatewayError where the hub was not told."""
    opened = step.get("opened")
    if opened is None:
        why = f"the hub does not know by which entry {step['violation']} was opened"
        raise GatewayError(why, hint="its gateway runs an older release, or that part of its record was declared skipped")
    return str(opened["epoch"]), int(opened["seq"])


def permitted(command: HubCommand, step: Mapping[str, Any], now_us: int) -> None:
    """What is plainly refused is not sent; the gateway decides by its own state. Raises GatewayError."""
    id_, state = command.violation, command.expected
    if step["ended"] or step.get("into"):
        raise GatewayError(f"{id_} is {step['handling']}", hint="nothing is to be done about it any more")
    if not step["violated"]:
        raise GatewayError(f"{id_} is only a notice: it ends by itself, or becomes a violation")
    if command.verb in (RETURN, VERIFY) and state.handling != "submitted":
        raise GatewayError(f"{id_} is {state.handling}: nothing was submitted", hint="the site submits it first")
    if command.verb == VERIFY and state.condition != "recovered" and not (step["rule"] == FINDING and state.condition == "active"):
        raise GatewayError(f"{id_} is {state.condition}: active or unknown never closes", hint="return it, or wait for good readings")
    if command.verb == EXTEND:
        due_us = (step.get("due") or {}).get(command.deadline)
        if due_us is None:
            raise GatewayError(f"no deadline '{command.deadline}' runs for {id_}", hint=f"running: {', '.join(_running(step)) or 'none'}")
        if command.until_us is None or command.until_us <= max(due_us, now_us):
            raise GatewayError("a deadline is moved to later only", hint="--until with a later time")


def answer(state_dir: Path, gateway: str, note: bytes, wait_s: float) -> dict[str, Any] | None:
    """What the gateway's record says became of a command, waiting at most so long; None while it says nothing for good."""
    name, until_s = sha256(note).hexdigest(), time.monotonic() + wait_s
    found: dict[str, Any] | None = None
    while time.monotonic() < until_s:
        glance = Glance(state_dir)
        try:
            view = glance.view(gateway)
        finally:
            glance.close()
        found = None if view is None else dict(view.state["commands"].get(name) or {}) or None
        if found is not None and found["outcome"] != "deferred":
            return found
        time.sleep(LOOK_S)
    return found


def _whole(us: int) -> int:
    return us // 1_000_000 * 1_000_000


def _running(step: Mapping[str, Any]) -> list[str]:
    return [what for what, due_us in (step.get("due") or {}).items() if due_us is not None]
