"""``rules state``: a rule pack's state at this site; the running gateway decides what is permitted, and puts it on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK
from edge_gateway.cli.person import secret
from edge_gateway.cli.verbs import Context, option, verb


@verb(
    "state",
    zh="设定规则包在本站点的状态：draft 草案、shadow 影子（照常判定并计数，不上报）、enforced 已启用。写入记录。\n\n"
    "从 enforced 退回须由第二个人用个人口令同意，并写明理由；未关闭的违规保持打开、状态未知。",
    examples=[
        'edge-gateway rules state plant-rooms enforced --by 王强 --reason "two weeks in shadow, 1 would have fired"',
        'edge-gateway rules state plant-rooms shadow --by 王强 --second 李敏 --reason "probe moved, trial again"',
    ],
)
@click.argument("pack")
@click.argument("wanted", metavar="draft|shadow|enforced", type=click.Choice(["draft", "shadow", "enforced"]))
@option("--reason", required=True, help="why, for the record", zh="理由，写入记录")
@option("--by", metavar="NAME", help="who asks, as a claim; without it, your OS user", zh="提出人姓名（仅为声明）；省略时为系统用户")
@option("--second", metavar="NAME", help="who agrees, with a secret of their own (see `people`): back from enforced", zh="同意人，须以个人口令证明（见 people）：从 enforced 退回时需要")
@option("--secret-file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE", help="the secret of --second; - for standard input; else it is asked for", zh="--second 的口令文件；- 表示标准输入；省略时提示输入")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, /, pack: str, wanted: str, secret_file: Path | None, as_json: bool, **asked: str | None) -> int:
    """Set a rule pack's state at this site: draft, shadow (it judges and counts, and reports nothing) or enforced. On record.

    Back from enforced takes a second person with a secret of their own, and a reason; what is open stays open, unknown.
    """
    body: dict[str, Any] = {"state": wanted, "reason": asked["reason"]}
    if asked["by"]:
        body["by"] = asked["by"]
    if asked["second"]:
        body |= {"as": asked["second"], "secret": secret(ctx, secret_file, ctx.say(f"Secret of {asked['second']}", f"{asked['second']} 的口令"))}
    done = Client(ctx.socket).post(f"/v1/rules/{quote(pack, safe='')}/state", body)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/rules-state/1", **done}, ensure_ascii=False))
    else:
        second = ctx.say(f", agreed by {done['second']}", f"，{done['second']} 同意") if done.get("second") else ""
        click.echo(ctx.say(f"pack '{pack}': {done['old']} -> {done['new']} (by {done['by']}{second})", f"规则包“{pack}”：{done['old']} → {done['new']}（{done['by']}{second}）"))
    return OK
