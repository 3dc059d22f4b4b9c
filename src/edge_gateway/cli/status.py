"""``status``: how the running gateway is; exit 1 when something wants a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.health_lines import status_lines
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.marking import worked_at
from edge_gateway.cli.record_words import expiring_line
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.cli.words import figure, known, limits, local, name, quality, span, value, word
from edge_gateway.journal.keeping import DAY_US
from edge_gateway.page.kept import kept
from edge_gateway.page.metrics import is_up
from edge_gateway.units import symbol
from edge_gateway.web.rule_words import limit_words


@verb(
    "status",
    zh="显示运行状态。退出码：0 一切正常，1 有事需要处理（或网关未运行）。",
    examples=[
        "edge-gateway status",
        "edge-gateway status --points      # every point: value, unit, limit, age, quality",
        "edge-gateway status --json",
    ],
)
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@option("--points", is_flag=True, help="every point, not only the abnormal ones", zh="列出所有测点，而不仅是异常的")
@click.pass_obj
def command(ctx: Context, as_json: bool, points: bool) -> int:
    """Say how the running gateway is. Exit codes: 0 all well, 1 something wants a person (or no gateway answers)."""
    client = Client(ctx.socket)
    status = client.get("/v1/status")
    rows = client.get("/v1/points")["points"]
    if as_json:
        click.echo(json.dumps(status | {"rows": rows}, ensure_ascii=False))
    else:
        for line in lines(ctx, status, rows, points):
            click.echo(line)
    return NO if status["problems"] else OK


def _drift(ctx: Context, status: dict[str, Any]) -> Iterator[str]:
    """Devices that are not set as their sheets say."""
    for item in status.get("drift", ()):
        for row in item["differs"]:
            unit = f" {symbol(row['unit_of_measure'])}" if row["unit_of_measure"] else ""
            is_, ought = f"{row['value']}{unit}", f"{row['wanted']}{unit}"
            said = ctx.say(
                f"{row['parameter']} is {is_}, its sheet says {ought}", f"{row['parameter']} 现为 {is_}，参数表为 {ought}"
            )
            yield f"{ctx.say('DRIFT', '偏离')}    {item['device']}: {said}"


def lines(ctx: Context, status: dict[str, Any], rows: list[dict[str, Any]], every: bool) -> Iterator[str]:
    """The answer for people, most important first."""
    zone = status["site"].get("timezone", "Asia/Shanghai")
    yield _head(ctx, status, zone)
    counts = status["points"]
    summary = " · ".join(
        f"{counts[state]} {word(ctx, state)}" for state in ("violation", "notice", "beyond", "no-data", "normal")
    )
    yield f"{ctx.say('points', '测点')}   {len(rows)}: {summary}"
    for row in rows:
        if every or row["state"] != "normal":
            yield row_text(ctx, row, zone)
    for violation in status["violations"]:
        yield f"{ctx.say('open', '未关闭')}     {violation_text(ctx, violation, zone)}"
    yield from worked_at(ctx, status, zone)
    for item in status.get("expiring", ()):
        yield expiring_line(ctx, item)
    for gap in status["gaps"]:
        yield f"{ctx.say('gap', '缺口')}      {', '.join(gap['groups'])}  {word(ctx, gap['reason'])}  {gap.get('detail', '')}".rstrip()
    for bus, health in status["buses"].items():
        yield from _bus(ctx, bus, health, zone)
    for sink, health in status["sinks"].items():
        why = f"  {health['why']}" if health["why"] else ""
        why = (budget_text(ctx, health["budget"], zone) or why) if health.get("budget") else why
        backlog = ctx.say("backlog", "积压")
        yield f"{ctx.say('sink', '去向')}     {sink}  {word(ctx, health['state'])}  {backlog} {health['backlog']}{why}"
    yield from _record(ctx, status)
    yield from _drift(ctx, status)
    for alarm in status["alarms"]:
        yield f"{ctx.say('ALARM', '报警')}    {alarm['code']}: {alarm['why']}"
    yield from _config(ctx, status["config"], zone)
    if status["not_monitored"]:
        yield f"{ctx.say('not monitored', '未监测')}  {', '.join(status['not_monitored'])}"


def _record(ctx: Context, status: dict[str, Any]) -> Iterator[str]:
    """The journal: how much, how long, how far signed and witnessed, and what is wrong with it."""
    yield _journal(ctx, status["journal"], status["wall_us"])
    if (worn := status.get("wear", {}).get("bytes_per_reading")) is not None:
        yield ctx.say(f"wear      {worn:.0f} bytes written to storage a reading, since the start", f"磨损      启动以来每个读数写入存储 {worn:.0f} 字节")
    yield from (f"{ctx.say('ALARM', '报警')}    {sentence}" for sentence in kept(status, ctx.language))
    if status.get("signing"):
        yield from _proven(ctx, status)
    yield from _photos(ctx, status)
    for key in ("damaged", "troubled"):
        if status["journal"].get(key):
            yield f"{ctx.say('ALARM', '报警')}    {word(ctx, key)}: {status['journal'][key]}"


def _photos(ctx: Context, status: dict[str, Any]) -> Iterator[str]:
    """Photos at hubs, where there ever were any."""
    for sink, health in status["sinks"].items():
        told, waiting = health.get("photo_receipts", {}), health.get("photos", {}).get("waiting", 0)
        if not waiting and not told.get("held"):
            continue
        budget = told.get("budget") or {}
        zone = status["site"].get("timezone", "Asia/Shanghai")
        until = ctx.say("; today's bytes are spent, on at ", "；今日流量已用完，继续于 ") + local(budget["until_us"], zone) if budget.get("until_us") else ""
        yield ctx.say(
            f"photos    {told['held']} receipted by {sink}, {waiting} to go{until}", f"照片      {sink} 已回执 {told['held']} 张，待传 {waiting} 张{until}"
        )


def budget_text(ctx: Context, budget: dict[str, Any], zone: str) -> str:
    """What of the day's bytes is spent, and when it goes on; "" while little is."""
    used, most = budget["used"] / 1e6, budget["bytes_per_day"] / 1e6
    if budget["until_us"] is None:
        return "" if used < most / 2 else ctx.say(f"  {used:.1f} of {most:g} MB spent today", f"  今日已用 {used:.1f} / {most:g} MB")
    until = local(budget["until_us"], zone)
    return ctx.say(
        f"  the {most:g} MB of this day are spent: only what is urgent goes out until {until}",
        f"  今日流量 {most:g} MB 已用完：{until} 之前只发紧急内容",
    )


def _proven(ctx: Context, status: dict[str, Any]) -> Iterator[str]:
    """How far the record is signed, and how far witnessed."""
    yield _signing(ctx, status["signing"])
    for sink, health in status["sinks"].items():
        if "witness" in health:
            yield _witnessed(ctx, sink, health["witness"], status["wall_us"])
            for epoch in health["witness"].get("pending", ()):
                text = ("waits there for a person to accept it; not cosigned until then", "待监管端人员确认，此前不予联署")
                yield f"{ctx.say('pending', '待确认')}   {ctx.say('at the hub', '监管端')} {sink}  {epoch}  {ctx.say(*text)}"


def _signing(ctx: Context, signing: dict[str, Any]) -> str:
    """What of the record is signed, and how old the newest checkpoint is."""
    newest, more = signing["newest"], signing["unsigned"]
    age = "-" if newest["age_s"] is None else span(newest["age_s"])
    text = ctx.say(
        f"signed    {newest['epoch']}/{newest['size']} entries, {age} ago; {more} not signed yet",
        f"签名      {newest['epoch']} 前 {newest['size']} 条，{age}前；尚未签名 {more} 条",
    )
    return f"{text}  {signing['trouble']}" if signing["trouble"] else text


#: Why the newest checkpoint was not cosigned, by code; what is not here is told as the hub says it.
_NOT_COSIGNED = {
    "early": "监管端尚未收到这么多条",
    "later": "监管端仍在计算散列树",
    "unsupported": "监管端版本较旧，不联署",
    "pending": "新纪元待监管端人员确认：regulator-hub gateways accept",
    "no-key": "监管端尚未登记本网关公钥：regulator-hub gateways key",
    "no-checkpoint": "监管端认为这不是检查点",
    "foreign-key": "检查点并非由监管端登记的公钥签名",
    "foreign-log": "检查点不属于监管端登记公钥的台账",
    "fork": "分叉：检查点与监管端收到的记录不符",
    "roll-back": "回退：监管端已联署更多条",
    "store-differs": "监管端存储的内容与其已联署的不一致",
    "skipped": "其中有声明缺失的记录",
    "closed": "该纪元因冲突已关闭",
    "memory": "监管端的联署记忆已损坏",
    "forged-cosignature": "联署与 vkey 不符",
}


def _witnessed(ctx: Context, sink: str, witness: dict[str, Any], wall_us: int) -> str:
    """How far the hub cosigned the record: another word than what it holds (the receipts)."""
    newest, why = witness["newest"], witness["why"]
    why = f"  {ctx.say(why, _NOT_COSIGNED.get(witness['code'], why))}" if why else ""
    if newest is None:
        return ctx.say("witnessed nothing yet", "见证      尚无") + why
    last, age = f"{newest['epoch']}/{newest['size'] - 1}", span(max(0.0, wall_us / 1e6 - newest["time_s"]))
    if newest["known"]:
        return ctx.say(f"witnessed through entry {last}, {age} ago", f"见证      至 {last}，{age}前") + why
    text = ctx.say(
        f"witnessed cannot tell: {last} was cosigned {age} ago by an unknown key; set vkey of [sinks.{sink}]",
        f"见证      无法判定：{last} 于{age}前由未知公钥联署；请设置 [sinks.{sink}] 的 vkey",
    )
    return text + why


def _head(ctx: Context, status: dict[str, Any], zone: str) -> str:
    site = status["site"]
    clock = ctx.say("trusted", "可信") if status["clock"]["trusted"] else ctx.say("NOT TRUSTED", "不可信")
    rtc = "" if status["clock"].get("rtc", True) or status["clock"]["trusted"] else ctx.say(", no battery-backed clock", "，没有带电池的时钟")
    running = span((status["wall_us"] - status["started_wall_us"]) / 1e6)
    return (
        f"edge-gateway {status['version']}  {site.get('id')} {site.get('name_zh' if ctx.language == 'zh' else 'name_en', '')}  "
        f"{ctx.say('running', '已运行')} {running}  {local(status['wall_us'], zone)}  "
        f"{ctx.say('clock', '时钟')} {clock} ({status['clock']['trust']}{rtc})"
    )


def row_text(ctx: Context, row: dict[str, Any], zone: str) -> str:
    """One point, never a number without unit, limit, age and quality."""
    age = ctx.say("never", "从未") if row["age_s"] is None else span(row["age_s"])
    since = f"  {ctx.say('since', '自')} {local(row['since_us'], zone)}" if row.get("since_us") else ""
    parts = (row["point"], name(ctx, row), value(ctx, row), limits(ctx, row), f"{ctx.say('age', '距今')} {age}")
    return f"  {'  '.join(parts)}  {quality(ctx, row['quality'])}  {word(ctx, row['state'])}{since}"


def violation_text(ctx: Context, violation: dict[str, Any], zone: str) -> str:
    """One open violation or notice in a line."""
    first = violation["first"]
    level = word(ctx, str(violation.get("level", "violation")))
    limit = str(violation.get("limit") or "")
    shown = f"  {measured}" if (measured := figure(first.get("value"), limit)) else ""
    limit = limit_words(limit, ctx.language) + known(ctx, violation) if limit else ""
    states = f"{word(ctx, violation['condition'])} / {word(ctx, violation['handling'])}"
    states += ctx.say("  OVERDUE", "  已超期") if violation.get("overdue") else ""
    states += ctx.say(f"  with {violation['holds']} consequences", f"  含 {violation['holds']} 条后果") if violation.get("holds") else ""
    return (
        f"{violation['violation']}  {level}  {violation['rule']}  {violation['point']}{shown}  {limit}  "
        f"{ctx.say('since', '自')} {local(first['wall_us'], zone)}  {states}"
    )


def _bus(ctx: Context, bus: str, health: dict[str, Any], zone: str) -> Iterator[str]:
    said = f"  {health.get('said')}" if health.get("said") else ""
    state = str(health.get("state") or ("up" if is_up(health) else "down"))  # a broker's says whether it is connected
    yield f"{ctx.say('bus', '总线')}      {bus}  {word(ctx, state)}{slack(ctx, health)}{said}"
    devices = health.get("devices")
    for id_, device in devices.items() if isinstance(devices, dict) else ():
        if isinstance(device, dict) and device.get("state") == "silent":
            yield f"           {id_}  {word(ctx, 'silent')}  {device.get('said', '')}"
    if health.get("strangers"):
        yield f"           {ctx.say('there, without a device', '在线但未配置')}: {', '.join(health['strangers'])}"
    yield from status_lines(ctx, health, zone)
    yield from refused_lines(ctx, health)


def slack(ctx: Context, health: dict[str, Any]) -> str:
    """How much of a Modbus bus' time is left, as predicted and as measured; "" for other buses."""
    load = health.get("load")
    if not isinstance(load, dict):
        return ""
    measured = load["slack_measured"]
    shown = ctx.say("not yet", "尚无") if measured is None else f"{measured:.0%}"
    words = ctx.say("time left", "时间余量"), ctx.say("predicted", "预计"), ctx.say("measured", "实测")
    return f"  {words[0]}: {words[1]} {load['slack_predicted']:.0%}, {words[2]} {shown}"


def refused_lines(ctx: Context, health: dict[str, Any]) -> Iterator[str]:
    """What a Modbus bus' units were found to refuse."""
    seen: set[int] = set()
    for device in health.get("devices", {}).values():
        unit, learned = device.get("unit"), device.get("learned")
        if not learned or unit in seen:
            continue  # devices behind one unit share what it refuses
        seen.add(unit)
        yield from (f"           {_hole(ctx, unit, hole)}" for hole in learned["holes"])
        for function, most in learned["most"].items():
            words = ctx.say("takes at most this many registers a request", "每次请求最多可读的寄存器数")
            yield f"           {ctx.say('unit', '从站')} {unit}  FC{function}  {words}: {most}"


def _hole(ctx: Context, unit: int | None, hole: dict[str, Any]) -> str:
    last = "" if hole["last"] == hole["first"] else f"–{hole['last']}"
    refused = (
        ctx.say("not to be read along", "不能连带读取")
        if hole["gap"]
        else f"{ctx.say('refused, exception', '拒绝读取，异常码')} {hole['exception']}"
    )
    again = f"{ctx.say('tried again in', '重试倒计时')} {span(hole['retry_s'])}"
    return f"{ctx.say('unit', '从站')} {unit}  FC{hole['function']} {hole['first']}{last}  {refused}  {again}"


def _scrub(ctx: Context, scrub: dict[str, Any], now_us: int) -> str:
    """When every sealed byte was last read again; how far this pass is."""
    if not scrub["whole_us"]:
        share = f"{scrub['share']:.0%}"
        return ctx.say(f"re-read so far {share}", f"已复读 {share}")
    age = span(max(0, now_us - scrub["whole_us"]) / 1e6)
    return ctx.say(f"all re-read {age} ago", f"{age}前已全部复读")


def _journal(ctx: Context, journal: dict[str, Any], now_us: int) -> str:
    per_day, hours = journal.get("bytes_per_day"), journal.get("autonomy_hours")
    parts = [
        f"{ctx.say('journal', '台账')}  {ctx.say('epoch', '纪元')} {journal['epoch']}",
        f"{ctx.say('entries', '条目')} {journal['committed_seq']}",
    ]
    if per_day:
        parts.append(f"{per_day / 1e6:.1f} MB/{ctx.say('day', '天')}")
    if hours:
        parts.append(f"{ctx.say('room for', '可存')} {span(hours * 3600)}")
    if keeping := journal.get("keeping"):
        parts.append(ctx.say("kept for", "保存期限") + f" {keeping['keep_us'] // DAY_US} {ctx.say('days', '天')}")
        if keeping["freed_early"]:
            parts.append(ctx.say("the oldest went before that, for want of room", "空间不足，最旧部分已提前释放"))
    if journal.get("full"):
        parts.append(ctx.say("FULL: ordinary readings stopped", "已满：普通读数已停止"))
    if journal.get("scrub"):
        parts.append(_scrub(ctx, journal["scrub"], now_us))
    if missing := journal.get("missing_segments"):
        parts.append(ctx.say(f"{missing} DAMAGED SEGMENTS wait for the hub", f"{missing} 个损坏的分段等待监管端补回"))
    return "  ".join(parts)


def _config(ctx: Context, config: dict[str, Any], zone: str) -> Iterator[str]:
    applied = local(config["applied_wall_us"], zone)
    yield f"{ctx.say('config', '配置')}   {config['sha256'][:12]}  {ctx.say('applied', '生效于')} {applied}"
    if config["rejected"]:
        rejected, when = (
            ctx.say("file on disk REJECTED", "磁盘上的新配置被拒绝"),
            local(config["rejected_wall_us"], zone),
        )
        yield f"  {rejected}  {when}  {config['rejected']}"
    if config["pending_restart"]:
        yield f"  {ctx.say('takes effect at the next start', '重启后生效')}: {', '.join(config['pending_restart'])}"
