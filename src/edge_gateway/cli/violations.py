"""``violations list|ack|close``: what is open, and a person's steps on it, with their reason."""

from __future__ import annotations

import json

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import Context
from edge_gateway.cli.status import violation_text


@click.group("violations")
def command() -> None:
    """List open violations, acknowledge or close one. Who you are is your OS user; it is recorded with your reason.

    \b
    edge-gateway violations list
    edge-gateway violations ack tlf-007-12 --reason "door seal torn, repair called"
    edge-gateway violations close tlf-007-12 --reason "seal replaced, -19.2 C since 15:10"
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> int:
    """What is open: violations and running notices."""
    client = Client(ctx.socket)
    found = client.get("/v1/violations")["violations"]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/violations/1", "violations": found}, ensure_ascii=False))
        return 0
    zone = client.get("/v1/status")["site"].get("timezone", "Asia/Shanghai")
    for violation in found:
        click.echo(violation_text(violation, zone))
    if not found:
        click.echo(ctx.say("nothing is open", "没有未关闭的违规"), err=True)
    return 0


def _step(ctx: Context, verb: str, violation: str, reason: str) -> int:
    answer = Client(ctx.socket).post(f"/v1/violations/{violation}/{verb}", {"reason": reason})
    words = {"ack": ctx.say("acknowledged", "已确认"), "close": ctx.say("closed", "已关闭")}
    click.echo(
        f"{violation}  {words[verb]}  {ctx.say('by', '处理人')} {answer.get('by')}  {ctx.say('entry', '条目')} {answer.get('seq')}"
    )
    return 0


@command.command("ack")
@click.argument("violation")
@click.option("--reason", required=True, help="what you know or do about it")
@click.pass_obj
def ack(ctx: Context, violation: str, reason: str) -> int:
    """Acknowledge: you know of it. Allowed while the limit is still broken."""
    return _step(ctx, "ack", violation, reason)


@command.command("close")
@click.argument("violation")
@click.option("--reason", required=True, help="what was done, and why it is over")
@click.pass_obj
def close(ctx: Context, violation: str, reason: str) -> int:
    """Close: only after good readings are back within the limit."""
    return _step(ctx, "close", violation, reason)
