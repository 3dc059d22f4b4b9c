"""``quarantine list|retry|drop``: what sinks refused, with their own words."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.verbs import Context, noun, option, verb


@noun(
    "quarantine",
    zh="某个去向逐条拒收的数据。不阻塞后续数据，台账本身不受影响。",
    examples=[
        "edge-gateway quarantine list",
        "edge-gateway quarantine retry 12 13",
        'edge-gateway quarantine drop 12 --reason "the database was set up anew"',
    ],
)
def command() -> None:
    """What a sink refused line by line. It blocks nothing behind it; the record itself is untouched."""


@verb(
    "list",
    zh="列出被拒收的数据、来源和原因。",
    examples=["edge-gateway quarantine list", "edge-gateway quarantine list --sink influx --json"],
)
@option("--sink", help="of this sink only", zh="仅此去向")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def list_(ctx: Context, sink: str | None, as_json: bool) -> int:
    """What was refused, where it came from, and why."""
    items = Client(ctx.socket).get("/v1/quarantine" + (f"?sink={quote(sink, safe='')}" if sink else ""))["items"]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/quarantine/1", "items": items}, ensure_ascii=False))
        return OK
    for item in items:
        click.echo(f"{item['id']}  {item['sink']}  {item['epoch']}/{item['seq']}  {item['reason']}")
        click.echo(f"    {item['line'][:200]}")
    if not items:
        click.echo(ctx.say("the quarantine is empty", "隔离区为空"), err=True)
    return OK


def _act(ctx: Context, step: str, ids: tuple[int, ...], reason: str) -> dict[str, Any]:
    return Client(ctx.socket).post(f"/v1/quarantine/{step}", {"ids": list(ids), "reason": reason})


@verb(
    "retry",
    zh="重新提交给原去向；被接受的离开隔离区。仍被拒收时退出码为 1。",
    examples=["edge-gateway quarantine retry 12 13"],
)
@click.argument("ids", type=int, nargs=-1, required=True)
@option("--reason", default="offered again", help="why now; goes on record", zh="理由，写入记录")
@click.pass_obj
def retry(ctx: Context, ids: tuple[int, ...], reason: str) -> int:
    """Offer them to their sink once more; what is taken leaves the quarantine. Exit 1 when something stays."""
    answer = _act(ctx, "retry", ids, reason)
    taken, refused = int(answer.get("taken", 0)), answer.get("refused", [])
    for item in refused:
        click.echo(f"{item['id']}  {ctx.say('refused again', '再次被拒收')}  {item['reason']}")
    click.echo(ctx.say(f"{taken} of {len(set(ids))} taken", f"{len(set(ids))} 条中 {taken} 条被接受"), err=True)
    return OK if taken == len(set(ids)) else NO


@verb(
    "drop",
    zh="丢弃。对应的读数仍在台账中。",
    examples=['edge-gateway quarantine drop 12 --reason "the database was set up anew"'],
)
@click.argument("ids", type=int, nargs=-1, required=True)
@option("--reason", required=True, help="why; goes on record with what they were", zh="理由，连同原内容写入记录")
@click.pass_obj
def drop(ctx: Context, ids: tuple[int, ...], reason: str) -> int:
    """Forget them. The journal keeps the readings they came from."""
    dropped = int(_act(ctx, "drop", ids, reason).get("dropped", 0))
    click.echo(ctx.say(f"{dropped} of {len(set(ids))} dropped", f"{len(set(ids))} 条中丢弃 {dropped} 条"), err=True)
    return OK if dropped == len(set(ids)) else NO


for _verb in (list_, retry, drop):
    command.add_command(_verb)
