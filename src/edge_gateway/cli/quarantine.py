"""``quarantine list|retry|drop``: what sinks refused, with their own words."""

from __future__ import annotations

import json

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import Context


@click.group("quarantine")
def command() -> None:
    """What a sink refused line by line. It blocks nothing; the record itself is untouched.

    \b
    edge-gateway quarantine list
    edge-gateway quarantine retry 12 13
    edge-gateway quarantine drop 12
    """


@command.command("list")
@click.option("--sink", help="of this sink only")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@click.pass_obj
def list_(ctx: Context, sink: str | None, as_json: bool) -> int:
    """What was refused, where it came from, and why."""
    items = Client(ctx.socket).get("/v1/quarantine" + (f"?sink={sink}" if sink else ""))["items"]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/quarantine/1", "items": items}, ensure_ascii=False))
        return 0
    for item in items:
        click.echo(
            f"{item['id']}  {item['sink']}  {item['epoch']}:{item['seq']}  {item['reason']}\n    {item['line'][:200]}"
        )
    if not items:
        click.echo(ctx.say("the quarantine is empty", "隔离区为空"), err=True)
    return 0


def _act(ctx: Context, verb: str, ids: tuple[int, ...]) -> int:
    answer = Client(ctx.socket).post(f"/v1/quarantine/{verb}", {"ids": list(ids)})
    click.echo(json.dumps(answer, ensure_ascii=False))
    return 0 if not answer.get("refused") else 1


@command.command("retry")
@click.argument("ids", type=int, nargs=-1, required=True)
@click.pass_obj
def retry(ctx: Context, ids: tuple[int, ...]) -> int:
    """Offer them to their sink once more; what is taken leaves the quarantine."""
    return _act(ctx, "retry", ids)


@command.command("drop")
@click.argument("ids", type=int, nargs=-1, required=True)
@click.pass_obj
def drop(ctx: Context, ids: tuple[int, ...]) -> int:
    """Forget them. The journal keeps the readings they came from."""
    return _act(ctx, "drop", ids)
