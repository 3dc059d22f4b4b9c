"""``violations list|ack|close``: what is open, and a person's steps on it, with their reason."""

from __future__ import annotations

import json
from urllib.parse import quote

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK
from edge_gateway.cli.status import violation_text
from edge_gateway.cli.verbs import Context, noun, option, verb


@noun(
    "violations",
    zh="列出未关闭的违规，知悉或关闭其中一条。您的系统用户名与理由会写入记录。",
    examples=[
        "edge-gateway violations list",
        'edge-gateway violations ack tlf-007-12 --reason "door seal torn, repair called"',
        'edge-gateway violations close tlf-007-12 --reason "seal replaced, -19.2 C since 15:10"',
    ],
)
def command() -> None:
    """List open violations, acknowledge or close one. Your OS user and your reason are recorded."""


@verb(
    "list",
    zh="列出未关闭的违规和计时中的预警。",
    examples=["edge-gateway violations list", "edge-gateway violations list --json"],
)
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> int:
    """What is open: violations and running notices."""
    client = Client(ctx.socket)
    found = client.get("/v1/violations")["violations"]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/violations/1", "violations": found}, ensure_ascii=False))
        return OK
    zone = client.get("/v1/status")["site"].get("timezone", "Asia/Shanghai")
    for violation in found:
        click.echo(violation_text(ctx, violation, zone))
    if not found:
        click.echo(ctx.say("nothing is open", "没有未关闭的违规"), err=True)
    return OK


def _step(ctx: Context, step: str, violation: str, reason: str) -> int:
    answer = Client(ctx.socket).post(f"/v1/violations/{quote(violation, safe='')}/{step}", {"reason": reason})
    words = {"ack": ctx.say("acknowledged", "已知悉"), "close": ctx.say("closed", "已关闭")}
    by, entry = ctx.say("by", "处理人"), ctx.say("entry", "条目")
    click.echo(f"{violation}  {words[step]}  {by} {answer.get('by')}  {entry} {answer.get('seq')}")
    return OK


_REASON_ZH = "理由，写入记录"


@verb(
    "ack",
    zh="知悉：表示您已知道此违规。限值仍被突破时也可以。",
    examples=['edge-gateway violations ack tlf-007-12 --reason "door seal torn, repair called"'],
)
@click.argument("violation")
@option("--reason", required=True, help="what you know or do about it", zh=_REASON_ZH)
@click.pass_obj
def ack(ctx: Context, violation: str, reason: str) -> int:
    """Acknowledge: you know of it. Allowed while the limit is still broken."""
    return _step(ctx, "ack", violation, reason)


@verb(
    "close",
    zh="关闭：仅当好的读数已回到限值以内。",
    examples=['edge-gateway violations close tlf-007-12 --reason "seal replaced, -19.2 C since 15:10"'],
)
@click.argument("violation")
@option("--reason", required=True, help="what was done, and why it is over", zh=_REASON_ZH)
@click.pass_obj
def close(ctx: Context, violation: str, reason: str) -> int:
    """Close: only after good readings are back within the limit."""
    return _step(ctx, "close", violation, reason)


for _verb in (list_, ack, close):
    command.add_command(_verb)
