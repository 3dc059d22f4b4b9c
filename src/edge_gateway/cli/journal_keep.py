"""``journal shorten`` and ``journal release``: a named person's steps on how long the record stays; the running gateway records and does them."""

from __future__ import annotations

import json
from typing import Any

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import Context, option, verb


@verb(
    "shorten",
    zh="缩短台账保存期限。配置中改小 `journal.keep_days` 并重启后，仍按原期限保存，直到有人执行此命令；执行人（操作系统用户）、时间、原值、新值和理由记入台账。\n\n"
    "DAYS 必须等于运行中配置的值。退出码：0 已生效，1 不能这样做。",
    examples=["edge-gateway journal shorten 365 --reason 'agreed with the market supervision bureau, letter 2026-11'"],
)
@click.argument("days", type=click.IntRange(1))
@option("--reason", required=True, help="why; it goes on record", zh="理由，记入台账")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def shorten(ctx: Context, days: int, reason: str, as_json: bool) -> int:
    """Keep the record for a shorter time than until now.

    A lower `journal.keep_days` takes effect by this step only: the OS user, when, old, new and why go on record. DAYS must be
    what the running configuration says. Exit codes: 0 in force, 1 it may not be.
    """
    return _said(ctx, "shorten", {"days": days, "reason": reason}, as_json)


@verb(
    "release",
    zh="放行：允许按期限和容量释放尚未见证的记录。对象是已从配置中移除的监管端（--hub），或已结束的纪元（--epoch，例如声明缺失之后永远不会被见证的）。"
    "执行人（操作系统用户）、时间和理由记入台账。\n\n不可撤销。退出码：0 已放行，1 不能这样做。",
    examples=[
        "edge-gateway journal release --hub hub --reason 'the county moved to another platform'",
        "edge-gateway journal release --epoch 0123456789abcdef --reason 'lies behind a declared loss'",
    ],
)
@option("--hub", help="a hub that is no longer configured", zh="已从配置中移除的监管端")
@option("--epoch", help="an epoch that has ended", zh="已结束的纪元")
@option("--reason", required=True, help="why; it goes on record", zh="理由，记入台账")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def release(ctx: Context, hub: str | None, epoch: str | None, reason: str, as_json: bool) -> int:
    """Let go what no hub witnessed: age and quota may free it from then on.

    Of a hub that was taken out of the configuration, or of an epoch that has ended (behind a declared loss nothing is ever
    witnessed). The OS user, when and why go on record; it cannot be taken back. Exit codes: 0 let go, 1 it may not be.
    """
    if (hub is None) == (epoch is None):
        raise click.UsageError("name one of --hub and --epoch")
    return _said(ctx, "release", ({"hub": hub} if hub else {"epoch": epoch}) | {"reason": reason}, as_json)


def _said(ctx: Context, step: str, asked: dict[str, Any], as_json: bool) -> int:
    done = Client(ctx.socket).post(f"/v1/journal/{step}", asked)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/journal-keep/1"} | done, ensure_ascii=False))
    elif done["event"] == "keep-time-shortened":
        old, new = done["old"], done["new"]
        click.echo(ctx.say(f"kept for {new} days from now on ({old} before), on record", f"保存期限由 {old} 天改为 {new} 天，已记入台账"))
    else:
        what, n = done.get("hub") or done["epoch"], done["unwitnessed"]
        click.echo(ctx.say(f"{what} let go: {n} entries that nobody witnessed may be freed; on record", f"已放行 {what}：{n} 条未见证的记录可被释放，已记入台账"))
    return OK
