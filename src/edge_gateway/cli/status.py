"""``status``: how the running gateway is; exit 1 when something wants a person."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import NO, OK, Context
from edge_gateway.units import show, symbol


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
@click.option("--points", is_flag=True, help="every point with value, unit, limit, age and quality")
@click.pass_obj
def command(ctx: Context, as_json: bool, points: bool) -> int:
    """Say how the running gateway is. Exit 0 all well, 1 something wants a person (or no gateway answers).

    \b
    edge-gateway status
    edge-gateway status --points
    edge-gateway status --json
    """
    client = Client(ctx.socket)
    status = client.get("/v1/status")
    rows = client.get("/v1/points")["points"]
    if as_json:
        click.echo(json.dumps(status | {"rows": rows}, ensure_ascii=False))
    else:
        _talk(ctx, status, rows, points)
    return NO if status["problems"] else OK


def local(wall_us: int, zone: str) -> str:
    """``2026-03-05 14:03:27 +08:00``: never without its offset."""
    return (
        datetime.fromtimestamp(wall_us / 1e6, UTC)
        .astimezone(ZoneInfo(zone))
        .isoformat(" ", "seconds")
        .replace("+", " +")
    )


def span(seconds: float) -> str:
    """``2 h 10 min``: two parts at the most."""
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // small)} {small_unit}"
    return f"{seconds:.0f} s"


def row_text(ctx: Context, row: dict[str, Any]) -> str:
    """One point, never a number without unit, limit, age and quality."""
    name = row["name_zh"] if ctx.language == "zh" else row["name_en"]
    value = ctx.say("no value", "无数据") if row["value"] is None else show(row["value"], row["decimals"], row["unit"])
    if row["stale"] and row["value"] is not None:
        value = f"({value})"
    limits = "; ".join(limit["limit"] for limit in row["limits"] if limit.get("limit")) or ctx.say("no limit", "无限值")
    limits = limits.replace(row["unit"], symbol(row["unit"])) if row["unit"] else limits
    age = ctx.say("never", "从未") if row["age_s"] is None else span(row["age_s"])
    return f"  {row['point']:<20} {name}  {value}  {limits}  {ctx.say('age', '距今')} {age}  {row['quality']}  {row['state']}"


def _talk(ctx: Context, status: dict[str, Any], rows: list[dict[str, Any]], every: bool) -> None:
    site, zone = status["site"], status["site"].get("timezone", "Asia/Shanghai")
    now = status["wall_us"]
    clock = ctx.say("trusted", "可信") if status["clock"]["trusted"] else ctx.say("NOT TRUSTED", "不可信")
    name = site.get("name_zh") if ctx.language == "zh" else site.get("name_en")
    click.echo(
        f"edge-gateway {status['version']}  {site.get('id')} {name}  {ctx.say('running', '已运行')} "
        f"{span((now - status['started_wall_us']) / 1e6)}  {local(now, zone)}  {ctx.say('clock', '时钟')} {clock} ({status['clock']['trust']})"
    )
    counts = status["points"]
    click.echo(
        ctx.say("points   ", "测点   ")
        + f"{len(rows)}: {counts['violation']} {ctx.say('violation', '违规')} · {counts['notice']} {ctx.say('notice', '预警')} · "
        f"{counts['no-data']} {ctx.say('no data', '无数据')} · {counts['normal']} {ctx.say('within limits', '正常')}"
    )
    for row in rows:
        if every or row["state"] != "normal":
            click.echo(row_text(ctx, row))
    for violation in status["violations"]:
        click.echo(f"{ctx.say('open', '未关闭')}  {violation_text(violation, zone)}")
    for name, health in status["buses"].items():
        click.echo(
            f"{ctx.say('bus', '总线')}  {name}  {health.get('state', '')}  {health.get('words', health.get('why', ''))}"
        )
    for name, sink in status["sinks"].items():
        why = f"  {sink['why']}" if sink["why"] else ""
        click.echo(
            f"{ctx.say('sink', '去向')} {name}  {sink['state']}  {ctx.say('backlog', '积压')} {sink['backlog']}{why}"
        )
    journal = status["journal"]
    hours = journal.get("autonomy_hours")
    click.echo(
        f"{ctx.say('journal', '日志')}  {ctx.say('epoch', '纪元')} {journal['epoch']}  {ctx.say('entries', '条目')} {journal['committed_seq']}  "
        f"{(journal.get('bytes_per_day') or 0) / 1e6:.1f} MB/{ctx.say('day', '天')}"
        + (f"  {ctx.say('room for', '可存')} {span(hours * 3600)}" if hours else "")
    )
    config = status["config"]
    applied = local(config["applied_wall_us"], zone)
    click.echo(f"{ctx.say('config', '配置')}  {config['sha256'][:12]}  {ctx.say('applied', '生效于')} {applied}")
    if config["rejected"]:
        click.echo(
            f"  {ctx.say('REJECTED', '被拒绝')}  {local(config['rejected_wall_us'], zone)}  {config['rejected']}"
        )
    if config["pending_restart"]:
        click.echo(
            f"  {ctx.say('takes effect at the next start', '重启后生效')}: {', '.join(config['pending_restart'])}"
        )
    if status["not_monitored"]:
        click.echo(f"{ctx.say('not monitored', '未监测')}  {', '.join(status['not_monitored'])}")


def violation_text(violation: dict[str, Any], zone: str) -> str:
    """One open violation or notice in a line."""
    first = violation["first"]
    value = "" if first.get("value") is None else f"  {first['value']}"
    return (
        f"{violation['violation']}  {violation['rule']}  {violation['point']}{value}  {violation.get('limit', '')}  "
        f"{local(first['wall_us'], zone)}  {violation['condition']} / {violation['handling']}"
    )
