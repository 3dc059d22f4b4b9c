"""``inbox``: what scans found and topics that nobody configured; take one over, or show it no more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from edge_gateway.cli.client import Client, NotRunning
from edge_gateway.cli.main import OK
from edge_gateway.cli.scan_words import fits
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.cli.words import span

_KINDS = ["frozen-store", "chilled-store", "pre-cooling", "cutting-room", "cleaning-line", "steriliser", "outlet"]
_STAGES = ["intake", "quarantine", "washing", "wastewater", "dispatch", "storage"]


@noun(
    "inbox",
    zh="扫描找到的设备和未配置的主题：列出、加入配置、忽略。保留七天。",
    examples=["edge-gateway inbox list", "edge-gateway inbox add 2 --as cold2 --zone cold2", "edge-gateway inbox ignore 3"],
)
def command() -> None:
    """What scans found, and topics that nobody configured: list, add to the configuration, ignore. Kept seven days."""


@verb(
    "list",
    zh="列出收件箱。",
    examples=["edge-gateway inbox list", "edge-gateway inbox list --ignored --json"],
)
@option("--ignored", is_flag=True, help="also what is ignored", zh="包括已忽略的")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def list_(ctx: Context, ignored: bool, as_json: bool) -> int:
    """List the inbox."""
    items = [item for item in _items(ctx) if ignored or not item["ignored"]]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/inbox/1", "items": items}, ensure_ascii=False))
        return OK
    for item in items:
        for line in lines(ctx, item):
            click.echo(line)
    if not items:
        said = ctx.say("the inbox is empty: `edge-gateway scan` looks for devices", "收件箱为空：`edge-gateway scan` 查找设备")
        click.echo(said, err=True)
    return OK


@verb(
    "add",
    zh="把一项加入配置：写入状态目录的 gateway.d/（不改动您的文件），校验，并让运行中的网关立即采用。\n\n"
    "测点名为 NAME-通道。区域不存在时用 --kind 新建。",
    examples=[
        "edge-gateway inbox add 2 --as cold2 --zone cold2 --kind frozen-store",
        "edge-gateway inbox add 3 --as hall-cl --zone hall --profile zw/rcl101",
        "edge-gateway inbox add 4 --as meter --zone hall --channels power,energy --every 30",
    ],
)
@click.argument("item", type=int)
@option("--as", "prefix", required=True, metavar="NAME", help="the device; points are NAME-channel", zh="设备名；测点为 NAME-通道")
@option("--zone", help="where it is (the only zone by default)", zh="所在区域（只有一个时可省略）")
@option("--kind", type=click.Choice(_KINDS), metavar="KIND", help=f"makes the zone: {', '.join(_KINDS)}", zh="新建区域的类别")
@option("--stage", type=click.Choice(_STAGES), metavar="STAGE", help="of a new zone", zh="新建区域的环节")
@option("--profile", help="what it is, if the scan could not tell", zh="设备类型（扫描无法确定时）")
@option("--channels", help="only these, with commas", zh="仅这些通道，逗号分隔")
@option("--select", help="MQTT: which of several probes", zh="MQTT：多个探头中的哪一个")
@option("--every", "interval_s", type=click.FloatRange(0.01, 86400), default=10.0, show_default=True, help="seconds", zh="间隔秒数")
@click.pass_obj
def add(ctx: Context, /, item: int, channels: str | None, **wish: Any) -> int:
    """Take an item into the configuration: writes to the state folder's gateway.d/ (never to your files), checks, reloads.

    Its points are NAME-channel. A zone that is not there yet is made with --kind.
    """
    body = {key: value for key, value in wish.items() if value is not None}
    body |= {"channels": [name.strip() for name in channels.split(",")]} if channels else {}
    try:
        done = Client(ctx.socket).post(f"/v1/inbox/{item}/add", body)
    except NotRunning:
        done = _add_alone(ctx, item, body)
    click.echo(ctx.say(f"written: {done['file']}", f"已写入：{done['file']}"))
    click.echo("".join(f"  {line}\n" for line in done["text"].splitlines() if line).rstrip("\n"))
    click.echo(ctx.say(f"points: {', '.join(done['points'])}", f"测点：{', '.join(done['points'])}"))
    click.echo(_next(ctx, done), err=True)
    return OK


@verb("ignore", zh="不再显示这些项，再次找到也不显示。", examples=["edge-gateway inbox ignore 3", "edge-gateway inbox ignore 3 4"])
@click.argument("items", type=int, nargs=-1, required=True)
@option("--reason", default="ignored", help="goes on record", zh="理由，写入记录")
@click.pass_obj
def ignore(ctx: Context, items: tuple[int, ...], reason: str) -> int:
    """Show these no more, also when they are found again."""
    for number in items:
        try:
            Client(ctx.socket).post(f"/v1/inbox/{number}/ignore", {"reason": reason})
        except NotRunning:
            from edge_gateway.cli.scan import scans

            scans(ctx).ignore(number)
        click.echo(ctx.say(f"{number} is ignored", f"{number} 已忽略"))
    return OK


command.add_command(list_)
command.add_command(add)
command.add_command(ignore)


def _items(ctx: Context) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = Client(ctx.socket).get("/v1/inbox")["items"]
    except NotRunning:
        from edge_gateway.cli.scan import scans

        items = scans(ctx).inbox()
    return items


def _add_alone(ctx: Context, item: int, body: Mapping[str, Any]) -> dict[str, Any]:
    import getpass

    from edge_gateway.cli.scan import scans

    alone = scans(ctx)
    done: dict[str, Any] = alone.add(item, body, getpass.getuser())
    alone.taken(item)
    return done | {"pending_restart": None}


def _next(ctx: Context, done: Mapping[str, Any]) -> str:
    if done["pending_restart"] is None:
        return ctx.say("next:  edge-gateway check  ·  edge-gateway run", "下一步：edge-gateway check  ·  edge-gateway run")
    return ctx.say(
        f"the gateway reads it now.  Next:  edge-gateway read {done['points'][0]}  ·  edge-gateway status --points",
        f"网关已开始读取。下一步：edge-gateway read {done['points'][0]}  ·  edge-gateway status --points",
    )


def lines(ctx: Context, item: Mapping[str, Any]) -> Iterator[str]:
    """One item for people: where, what it may be, how long ago."""
    found = item["found"]
    ago = ctx.say(f"{span(item['age_s'])} ago", f"{span(item['age_s'])}前")
    mark = ctx.say("  (ignored)", "（已忽略）") if item["ignored"] else ""
    if found["kind"] == "mqtt":
        yield f"{item['id']:>3}  {found['bus']}  {found['topic']}  {ago}{mark}"
    else:
        place = found.get("port") or f"{found.get('host')}:{found.get('tcp_port')}"
        unit = f"{ctx.say('unit', '单元')} {found['unit']}"
        where = "  ".join(part for part in (found["bus"] or place, found["framing"], unit) if part)
        yield f"{item['id']:>3}  {where}  {ago}{mark}"
    if found.get("state") == "garbled":
        yield "     " + ctx.say("garbled: two devices with this address, or a bad line", "应答损坏：地址重复或线路不良")
    for match in found.get("matches", ()):
        yield f"     {fits(ctx, match)}"
