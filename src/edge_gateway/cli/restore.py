"""``restore``: lays a backup down in an empty state folder; the record goes on in a new epoch, which a person at the hub accepts."""

from __future__ import annotations

import asyncio
import json
import time
from hashlib import file_digest
from pathlib import Path
from typing import Any

import click

from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import GatewayError

REASON = {"help": "why, in your words; goes on record", "zh": "理由，写入记录"}


@verb(
    "restore",
    zh="把备份恢复到空的状态目录（同一台设备换卡、误删之后）。台账在新纪元中继续，绝不改写监管端可能已有的条目。\n\n"
    "之后由监管端人员确认新纪元。更换整机请用 replace。",
    examples=['edge-gateway restore /media/usb/tlf-007.backup --reason "the card died"', 'edge-gateway restore FILE --keep-config --reason "…"'],
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@option("--reason", required=True, **REASON)
@option("--keep-config", is_flag=True, help="the configuration that is there stays; only the record is laid down", zh="保留现有配置，只恢复台账")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, file: Path, reason: str, keep_config: bool, as_json: bool) -> int:
    """Lay FILE down in an empty state folder (a new card, a deleted folder). The record goes on in a new epoch: nothing that the hub may hold is written again.

    A person at the hub accepts the new epoch afterwards. For new hardware use `replace`.
    """
    done = lay(ctx, file, reason, "restore", keep_config=keep_config)
    show(ctx, done, as_json=as_json, new_key=False)
    return OK


def lay(ctx: Context, file: Path, reason: str, why: str, *, keep_config: bool) -> dict[str, Any]:
    """Lay a backup down and begin the next epoch; what was done. Raises GatewayError."""
    from edge_gateway.clock import SystemClock
    from edge_gateway.journal.backup import Placing, go_on, lay_down, manifest_of
    from edge_gateway.links.who import who

    if not reason.strip():
        raise GatewayError("a reason is missing", hint='add --reason "what happened"')
    manifest_of(file)  # nothing is touched for a copy that is not whole
    with Placing(ctx.state_dir) as placing:
        manifest = lay_down(file, placing.folder, None if keep_config else ctx.config.parent / "gateway.toml")
        if not keep_config and manifest["config"] != ctx.config.name:
            (ctx.config.parent / str(manifest["config"])).rename(ctx.config)
        epoch = asyncio.run(go_on(placing.folder, why, SystemClock(declared=True)))
        with file.open("rb") as data:
            digest = file_digest(data, "sha256").hexdigest()
        said = {
            "by": who(), "why": reason[:300], "reason": why, "at_us": time.time_ns() // 1000, "backup_sha256": digest,
            "backup_made_us": manifest["made_us"], "old": {"epoch": manifest["epoch"], "size": manifest["size"]}, "new": epoch,
        }  # fmt: skip
        placing.done(said)
    return said | {"gateway": manifest["gateway"]}


def show(ctx: Context, done: dict[str, Any], *, as_json: bool, new_key: bool) -> None:
    """What was done, and what a person does next."""
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/restored/1", **done}, ensure_ascii=False))
        return
    old = done["old"]
    click.echo(
        ctx.say(
            f"the record goes on in epoch {done['new']}; of {old['epoch']} there are {old['size']} entries",
            f"台账在纪元 {done['new']} 中继续；纪元 {old['epoch']} 有 {old['size']} 条",
        )
    )
    steps = [
        ctx.say("put passwords and tokens in place, then  edge-gateway check", "放好密码与令牌，然后  edge-gateway check"),
        ctx.say("start the gateway and, where the record is signed, its signer", "启动网关；已签名的台账还需启动签名进程"),
    ]
    if new_key:
        key = f"regulator-hub gateways key {done['gateway']} KEY --replace --reason …"
        steps.append(ctx.say(f"edge-gateway signer key  prints the new key; at the hub:  {key}", f"edge-gateway signer key  显示新公钥；在监管端：{key}"))
    accept = f"regulator-hub gateways accept {done['gateway']} {done['new']} --reason …"
    steps.append(ctx.say(f"a person at the hub accepts the epoch:  {accept}", f"由监管端人员确认新纪元：{accept}"))
    for number, step in enumerate(steps, 1):
        click.echo(f"{number}. {step}", err=True)
