"""`regulator-hub violations`: what stands at the gateways, and a person's commands about it; parses and prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.errors import ConfigError, GatewayError
from edge_gateway.wire.command import (
    DEADLINES,
    EXTEND,
    MAX_LIFE_US,
    MAX_WHO,
    MAX_WHY,
    REFER,
    RETURN,
    VERIFY,
    problem,
)
from regulator_hub.cli_words import config_option, state_option, trouble

if TYPE_CHECKING:
    from regulator_hub.config import HubToml
    from regulator_hub.view import View

SCHEMA = "regulator-hub/violations/1"
#: Until when a command may be carried out, unless said otherwise (hours).
VALID_H = 24.0
HOUR_US = 3_600_000_000
DEPARTMENTS = ("market-regulation", "agriculture", "health", "ecology")

_by = click.option("--by", required=True, help="Your name: it stands in the command and in the gateway's record.")
_reason = click.option("--reason", required=True, help="Why; stands in both records.")
_valid = click.option(
    "--valid-h", type=click.FloatRange(0.02, MAX_LIFE_US / HOUR_US), default=VALID_H, show_default=True,
    help="Hours in which the gateway may carry it out.",
)  # fmt: skip
_wait = click.option("--wait", "wait_s", type=click.FloatRange(0, 600), default=0.0, help="Wait so many seconds for the gateway's answer.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group()
def violations() -> None:
    """Violations at all gateways, and commands about them: return, verify, extend, refer. 违规：查看、退回、核实、延期、移送。"""


@violations.command("list")
@click.argument("gateway", required=False)
@click.option("--ended", is_flag=True, help="Also the last ones that ended.")
@_json
@config_option
@state_option
def list_(gateway: str | None, ended: bool, as_json: bool, file: Path | None, state_dir: Path | None) -> None:
    """What stands open, overdue first; commands that wait for an answer. 列出未关闭的违规（超期在前）与待答复的指令。"""
    from regulator_hub import told

    with trouble():
        config, views = _seen(file, state_dir, gateway)
        found = told.told_rows(views, _outbox(config), time.time_ns() // 1000, ended=ended)
    if as_json:
        _print({"schema": SCHEMA, "violations": found})
        return
    for row in found:
        click.echo(told.line(row))
    if not found:
        click.echo("Nothing is open. 没有未关闭的违规。", err=True)


@violations.command()
@click.argument("violation")
@_json
@config_option
@state_option
def show(violation: str, as_json: bool, file: Path | None, state_dir: Path | None) -> None:
    """One violation: state, deadlines, every step with who and why, commands and answers. 显示一条违规的全过程。"""
    from regulator_hub import told

    with trouble():
        config, view, name = _of(file, state_dir, violation)
        row = told.whole(view, name, _outbox(config), time.time_ns() // 1000)
    if as_json:
        _print({"schema": SCHEMA, "violation": row})
        return
    for line in told.lines(row):
        click.echo(line)


def _verb(verb: str) -> Callable[[Callable[..., Any]], click.Command]:
    def made(act: Callable[..., Any]) -> click.Command:
        for option in (state_option, config_option, _json, _wait, _valid, _reason, _by):
            act = option(act)
        return violations.command(verb)(click.argument("violation")(act))

    return made


@_verb(RETURN)
def return_(violation: str, **told: Any) -> None:
    """Send what was submitted back to be corrected again; counted. 退回整改（计次）。"""
    _command(RETURN, violation, told)


@_verb(VERIFY)
def verify(violation: str, **told: Any) -> None:
    """It is eliminated: as a second person, close what was submitted and has recovered. 核实消除并关闭（第二人）。"""
    _command(VERIFY, violation, told)


@_verb(EXTEND)
@click.option("--deadline", type=click.Choice(DEADLINES), required=True, help="Which one.")
@click.option("--until", required=True, help="Until when, with its zone: 2026-12-05T18:00+08:00.")
def extend(violation: str, deadline: str, until: str, **told: Any) -> None:
    """Move a deadline to later. 延长期限。"""
    _command(EXTEND, violation, told, {"deadline": deadline, "until_us": _instant(until)})


@_verb(REFER)
@click.option("--to", type=click.Choice(DEPARTMENTS), required=True, help="Which department.")
def refer(violation: str, to: str, **told: Any) -> None:
    """Refer it to a department: market regulation, agriculture, health, ecology. 移送其他部门。"""
    _command(REFER, violation, told, {"to": to})


def _command(verb: str, violation: str, told: dict[str, Any], more: dict[str, Any] | None = None) -> None:
    """Give it; wait for the answer if asked."""
    from regulator_hub.commanding import Wish, answer, give

    for option, most in (("by", MAX_WHO), ("reason", MAX_WHY)):
        told[option] = told[option].strip()
        if wrong := problem(told[option], most):
            raise click.UsageError(f"--{option}: {wrong}")
    with trouble():
        config, view, row_name = _of(told["file"], told["state_dir"], violation)
        wish = Wish(verb, row_name, told["by"], told["reason"], more or {}, int(told["valid_h"] * HOUR_US))
        command, note = give(config, view, wish, time.time_ns() // 1000)
        said = answer(config.state_dir, view.gateway, note, told["wait_s"])
    violation = command.violation
    row = {"id": command.id, "violation": violation, "opened": {"epoch": command.epoch, "seq": command.opened}, "verb": verb, "expires_us": command.expires_us, "answer": said}
    if told["as_json"]:
        _print({"schema": "regulator-hub/command/1", **row})
    else:
        outcome = "waits for the gateway 等待网关答复" if said is None else f"{said['outcome']} {said.get('why', '')} {said.get('said', '')}".strip()
        click.echo(f"{violation}  {verb}  {command.id}  {outcome}")
    if said is not None and said["outcome"] == "refused":
        raise SystemExit(1)


def _instant(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise click.UsageError("--until: say the zone: 2026-12-05T18:00+08:00")
        return int(at.astimezone(UTC).timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        raise click.UsageError(f"--until: '{text}' is no time; write 2026-12-05T18:00+08:00") from None


def _seen(file: Path | None, state_dir: Path | None, gateway: str | None) -> tuple[HubToml, list[View]]:
    from regulator_hub.config import load
    from regulator_hub.glance import Glance

    config = load(file, state_dir=state_dir)
    glance = Glance(config.state_dir)
    try:
        if gateway is None:
            return config, glance.views()
        found = glance.view(gateway)
    finally:
        glance.close()
    if found is None:
        raise ConfigError(f"gateway '{gateway}' never delivered here", hint="`regulator-hub gateways` lists who may deliver")
    return config, [found]


def _of(file: Path | None, state_dir: Path | None, violation: str) -> tuple[HubToml, View, str]:
    """The gateway's view, and the name of its row."""
    from regulator_hub.named import named, opened_at

    gateway = violation.partition("@")[0].rpartition("-")[0] or None  # an entry is looked for at all gateways
    config, views = _seen(file, state_dir, gateway)
    view = next((view for view in views if any(violation == opened_at(step) for step in view.state["violations"].values())), None)
    if view is None and gateway is None:
        raise GatewayError(f"the hub knows no violation '{violation}'", hint="`regulator-hub violations list` shows the open ones")
    view = view or views[0]
    return config, view, named(view.state["violations"], violation)


def _outbox(config: HubToml) -> Any:
    from regulator_hub.outbox import Outbox

    return Outbox(config.state_dir)


def _print(body: dict[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(body).decode())
