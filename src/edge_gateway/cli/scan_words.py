"""What a scan says, event by event, as lines for people in both languages; asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_gateway.cli.verbs import Context
from edge_gateway.cli.words import name, span
from edge_gateway.units import show

Event = Mapping[str, Any]


def lines(ctx: Context, event: Event) -> Iterator[str]:
    """The result's lines: what was found."""
    if event["event"] == "unit":
        yield from _unit(ctx, event)
    elif event["event"] == "topic":
        new = ctx.say(f"NEW #{event['item']}", f"新 #{event['item']}") if event.get("item") else ctx.say("NEW", "新")
        yield f"  {event['topic']}   {new}   {event['payload'][:60]}"
        yield from (f"      {fits(ctx, match)}" for match in event["matches"])


def talk(ctx: Context, event: Event) -> Iterator[str]:
    """What is said beside the result."""
    kind = event["event"]
    if kind == "plan":
        yield from _plan(ctx, event)
    elif kind == "hosts":
        yield ctx.say(f"trying {event['hosts']} addresses, {event['at_once']} at a time", f"尝试 {event['hosts']} 个地址，每次 {event['at_once']} 个")
    elif kind == "open":
        hosts = ", ".join(event["hosts"]) or ctx.say("none", "无")
        yield ctx.say(f"a Modbus TCP port is open at: {hosts}", f"开放 Modbus TCP 端口的主机：{hosts}")
    elif kind == "listened" and not event["bytes"]:
        heard = ctx.say(
            f"listened for {event['seconds']:g} s: nobody else talks (a master that asks more rarely is not heard: --listen)",
            f"监听 {event['seconds']:g} 秒：没有其他主站（询问更少的主站听不到：--listen）",
        )
        yield heard
    elif kind == "unfit":
        yield ctx.say(f"{event['framing']} is passed over: {event['why']}", f"跳过 {event['framing']}：{event['why']}")
    elif kind == "foreign":
        yield ctx.say(
            f"somebody else talks on this line: {event['bytes']} bytes, {event['frames']} exchanges heard",
            f"此线路上有其他主站：听到 {event['bytes']} 字节、{event['frames']} 次交换",
        )
    elif kind == "end":
        yield from _end(ctx, event)
    elif kind == "hearing":
        filters = ", ".join(event["filters"])
        yield ctx.say(
            f"listening to {filters} for {event['seconds']:g} s (or {event['most']} messages) over a connection of its own; Ctrl-C stops",
            f"以单独的连接监听 {filters}，{event['seconds']:g} 秒（或 {event['most']} 条消息）；Ctrl-C 停止",
        )
    elif kind == "heard-out":
        full = ctx.say(f"; ended early: too many {event['full']}", f"；提前结束：{event['full']} 过多") if event["full"] else ""
        yield ctx.say(
            f"{event['messages']} messages, {event['topics']} unknown topics{full}",
            f"{event['messages']} 条消息，{event['topics']} 个未知主题{full}",
        )


def _plan(ctx: Context, event: Event) -> Iterator[str]:
    where = event.get("port") or f"{event.get('host')}:{event.get('tcp_port')}"
    name = f"{event['bus']} ({where})" if event["bus"] else where
    yield ctx.say(f"Bus {name}", f"总线 {name}")
    if event["own"]:
        own = ", ".join(event["own"])
        yield ctx.say(
            f"  polling goes on in between: {own} may be up to {event['late_s']:g} s late, and miss no slot that leaves so much room",
            f"  轮询穿插继续：{own} 最多推迟 {event['late_s']:g} 秒；间隔有此余量的不会错过时隙",
        )
    yield ctx.say(
        "Reads only: FC03/FC04, then FC43 and FC17 for names. Nothing is written to any device.",
        "只读：FC03/FC04，再以 FC43 和 FC17 询问名称。不向任何设备写入。",
    )
    framings = ", ".join(event["framings"])
    plan = f"{framings} × {event['addresses']}" if framings else ctx.say(f"units {event['addresses']}", f"单元 {event['addresses']}")
    rest = ""
    if event["rest"]:
        rest = ctx.say(
            f" (then {event['rest']}: {span(event['estimate_rest_s'])} more, with --all)",
            f"（再查 {event['rest']} 另需 {span(event['estimate_rest_s'])}：--all）",
        )
    takes = span(max(1.0, event["estimate_s"]))
    yield ctx.say(f"Plan: {plan}   est. {takes}{rest}", f"计划：{plan}   预计 {takes}{rest}")
    yield ctx.say("Ctrl-C stops; what was found is kept.", "Ctrl-C 停止；已找到的会保留。")


def _unit(ctx: Context, event: Event) -> Iterator[str]:
    where = "  ".join(part for part in (event["framing"], ctx.say(f"addr {event['unit']:>3}", f"地址 {event['unit']:>3}")) if part)
    if event["state"] == "garbled":
        yield f"  {where}  {ctx.say('garbled', '应答损坏')}   " + ctx.say(
            f"{event['bad']} of {event['asked']} answers broken: two devices with this address, missing termination, or noise",
            f"{event['asked']} 次中 {event['bad']} 次损坏：地址重复、缺终端电阻或干扰",
        )
        return
    took = ctx.say(f"answers in {event['round_trip_ms']:.0f} ms", f"{event['round_trip_ms']:.0f} ms 应答")
    if event.get("known"):
        yield f"  {where}  {took}   {ctx.say('known', '已配置')}: {', '.join(event['known'])}"
        return
    new = ctx.say(f"NEW #{event['item']}", f"新 #{event['item']}") if event.get("item") else ctx.say("NEW", "新")
    yield f"  {where}  {took}   {new}   {_name(ctx, event)}"
    yield from (f"      {fits(ctx, match)}" for match in event["matches"])
    if event.get("bad"):
        yield "      " + ctx.say(f"{event['bad']} broken answers: look at the line", f"有 {event['bad']} 次应答损坏：请检查线路")


def _name(ctx: Context, event: Event) -> str:
    told = " ".join(part for part in (event.get("vendor"), event.get("product"), event.get("revision")) if part)
    says = f'FC43: "{told}"' if told else f'FC17: "{event["server_id"]}"' if event.get("server_id") else ""
    if event["matches"]:
        return says or ctx.say("looks like:", "像是：")
    return f"{says}  " * bool(says) + ctx.say("no profile fits: `read --unit … --raw` shows what it says", "没有合适的配置：用 `read --unit … --raw` 查看")


def fits(ctx: Context, match: Event) -> str:
    """How well a profile fits, which one, and what its channels would read."""
    return f"{match['score']:>4.0%}  {match['profile']}  {name(ctx, match)}   {_values(ctx, match)}"


def _values(ctx: Context, match: Event) -> str:
    """Its channels as decoded: at most four of them."""
    shown = []
    for one in match["values"][:4]:
        value = ctx.say("no value", "无数据") if one["value"] is None else show(one["value"], one["decimals"], one["unit"])
        shown.append(f"{name(ctx, one) or one['channel']} {value}")
    more = len(match["values"]) - 4
    return " · ".join(shown) + (f" … +{more}" if more > 0 else "")


def _end(ctx: Context, event: Event) -> Iterator[str]:
    frames = event["frames"]
    received = frames["answers"] + frames["refused"]
    yield ctx.say(
        f"found {event['found']} in {span(event['took_s'])} · {frames['requests']} frames sent, {received} answered, {frames['bad_frames']} broken",
        f"{span(event['took_s'])} 内找到 {event['found']} 个 · 发送 {frames['requests']} 帧，应答 {received}，损坏 {frames['bad_frames']}",
    )


def following(ctx: Context, items: int) -> str:
    """What to do next."""
    if not items:
        return ctx.say(
            "nothing new. Is it powered? A and B swapped? More: --all (every address), --line 19200-8E1 (other settings), --profile P",
            "没有新设备。是否供电？A/B 是否接反？还可以：--all（所有地址）、--line 19200-8E1（其他参数）、--profile P",
        )
    return ctx.say(
        f"{items} new in the inbox (for 7 days).  Next:  edge-gateway inbox list  ·  edge-gateway inbox add NUMBER --as NAME --zone ZONE",
        f"收件箱中有 {items} 个新项（保留 7 天）。下一步：edge-gateway inbox list  ·  edge-gateway inbox add 编号 --as 名称 --zone 区域",
    )


# --- listening, and what moves ------------------------------------------------------------------------------------


def quiet_lines(ctx: Context, event: Event) -> Iterator[str]:
    """Events of ``--passive`` and ``--identify``."""
    kind = event["event"]
    if kind == "framing":
        yield ctx.say(f"listening at {event['framing']}; nothing is sent", f"以 {event['framing']} 监听；不发送任何数据")
    elif kind == "heard":
        yield _heard(ctx, event)
    elif kind == "traffic":
        yield from _traffic(ctx, event)
    elif kind == "values":
        for row in event["rows"]:
            yield _moving(ctx, row)
        yield ""


def _about(ctx: Context, event: Event) -> str:
    where = f"{ctx.say('unit', '单元')} {event['unit']:>3}  FC{event['function']:02d}"
    if event["register"] is not None:
        where += f"  {ctx.say('reg', '寄存器')} {event['register']}" + (f" x{event['count']}" if event["count"] is not None else "")
    return where


def _heard(ctx: Context, event: Event) -> str:
    writes = ctx.say("  WRITES", "  写入") if event["writes"] else ""
    if event["exception"] is not None:
        said = ctx.say(f"refused (exception {event['exception']})", f"拒绝（异常 {event['exception']}）")
    elif event["data"] is None:
        said = ctx.say("no answer", "无应答")
    else:
        said = _words(event["data"]) if event["function"] in (3, 4) else event["data"]
    took = "" if event["took_ms"] is None else f"  {event['took_ms']} ms"
    return f"  {_about(ctx, event)}{writes}  → {said}{took}"


def _words(data: str) -> str:
    """Registers as signed words."""
    raw = bytes.fromhex(data)
    return " ".join(str(int.from_bytes(raw[at : at + 2], "big", signed=True)) for at in range(0, len(raw) - 1, 2))


def _traffic(ctx: Context, event: Event) -> Iterator[str]:
    units = ", ".join(str(unit) for unit in event["units"]) or ctx.say("none", "无")
    yield ctx.say(
        f"-- {event['framing']}: units {units}; {event['noise']} bytes belong to no frame",
        f"-- {event['framing']}：单元 {units}；{event['noise']} 字节不成帧",
    )
    for kind in event["kinds"]:
        every = "" if kind["every_s"] is None else ctx.say(f"  every {kind['every_s']} s", f"  每 {kind['every_s']} 秒")
        answered = ctx.say(f"{kind['answered']} of {kind['times']} answered", f"{kind['times']} 次中应答 {kind['answered']} 次")
        yield f"   {_about(ctx, kind)}{every}  {answered}"


def _moving(ctx: Context, row: Event) -> str:
    value = ctx.say("no value", "无数据") if row["value"] is None else show(row["value"], row["decimals"], row["unit_of_measure"])
    change = "" if row["change"] is None else f"{row['change']:+.{row['decimals']}f}"
    where = f"#{row['item']}  {row['framing']}  {ctx.say('unit', '单元')} {row['unit']}"
    return f"  {change:>8}  {where}  {name(ctx, row)}  {value}"
