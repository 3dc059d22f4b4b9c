"""One violation for people at a terminal: state, deadlines, assessment, who did what, what to do; asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_gateway.cli.verbs import Context
from edge_gateway.cli.words import figure, local, span, word
from edge_gateway.web.rule_words import basis_words, limit_words, standard_words

#: Identifier -> (English, Chinese): what a violation's own words are for people.
WORDS: Mapping[str, tuple[str, str]] = {
    "acknowledge": ("acknowledge", "知悉"), "correct": ("correct", "整改"), "verify": ("verify", "核实"),
    "cause": ("cause", "原因"), "severity": ("severity", "严重程度"), "zone": ("zone", "区域"), "period": ("period", "时段"),
    "lots": ("lots", "批次"), "products": ("product", "产品处置"),
    "major": ("major", "较重"), "minor": ("minor", "一般"),
    "kept": ("kept", "保留"), "re-chilled": ("re-chilled", "复冷"), "isolated": ("isolated", "隔离"),
    "destroyed": ("destroyed", "销毁"), "none": ("none", "无"),
    "equipment": ("equipment", "设备"), "power": ("power", "电力"), "door": ("door", "库门"), "defrost": ("defrost", "除霜"),
    "loading": ("loading", "装卸"), "cleaning": ("cleaning", "清洗"), "water-supply": ("water supply", "供水"),
    "operation": ("operation", "操作"), "probe": ("probe", "探头"), "network": ("network", "网络"), "other": ("other", "其他"),
    "withdrawal-asked": ("withdrawal asked for", "申请撤销"), "withdrawal-dropped": ("withdrawal dropped", "放弃撤销"),
    "returned": ("returned", "退回"), "extended": ("deadline moved", "延期"), "referred": ("referred", "转办"),
    "violated": ("found", "发现"), "claimed": ("claimed", "声明"), "secret": ("proven", "已证明"), "hub": ("hub", "监管端"),
    "automatic": ("by itself", "自动"),
}  # fmt: skip


def said(ctx: Context, identifier: str) -> str:
    """The identifier in the reader's language."""
    return ctx.say(*WORDS[identifier]) if identifier in WORDS else word(ctx, identifier)


def deadlines(ctx: Context, record: Mapping[str, Any], zone: str, now_us: int) -> list[str]:
    """``correct by 2026-03-05 18:00:00 +08:00 (in 3 h 57 min)``, and OVERDUE where it is."""
    found = []
    for what, due_us in (record.get("due") or {}).items():
        if due_us is None:
            found.append(f"{said(ctx, what)}: {ctx.say('begins once the clock is trusted', '时钟可信后开始计时')}")
            continue
        left = span(abs(due_us - now_us) / 1e6)
        late = ctx.say(f"OVERDUE {left}", f"已超期 {left}") if due_us < now_us else ctx.say(f"in {left}", f"剩 {left}")
        found.append(f"{said(ctx, what)} {ctx.say('by', '期限')} {local(due_us, zone)} ({late})")
    return found


def lines(ctx: Context, found: Mapping[str, Any], zone: str, now_us: int) -> Iterator[str]:
    """The answer of ``violations show``."""
    record, rule = found["violation"], found.get("rule") or {}
    title = record.get("title") or rule.get(f"title_{ctx.language}") or record["rule"]
    yield f"{record['violation']}  {said(ctx, record.get('severity') or 'none')}  {title}  {record['point']}".rstrip()
    states = f"{word(ctx, record['condition'])} / {word(ctx, record['handling'])}"
    yield f"{ctx.say('state', '状态')}      {states}" + (f"  {ctx.say('returned', '退回')} {record['returns']}×" if record.get("returns") else "")
    yield from _measured(ctx, record, zone)
    over = record["handling"] in ("closed", "withdrawn", "merged") or (record["condition"] == "recovered" and record.get("level") == "notice")
    for line in () if over else deadlines(ctx, record, zone, now_us):
        yield f"{ctx.say('deadline', '期限')}   {line}"
    if record.get("limit") or record.get("basis"):
        yield f"{ctx.say('limit', '限值')}      {limit_words(str(record.get('limit') or ''), ctx.language)}  {_basis(ctx, record, rule)}".rstrip()
    if follows := record.get("follows"):
        how = ctx.say(f"follows {follows['violation']}, which was {follows['how']}", f"承接 {follows['violation']}（{word(ctx, follows['how'])}）")
        yield f"{ctx.say('again', '再次')}      {how}"
    if found.get("lots"):
        yield f"{ctx.say('lots', '批次')}       {', '.join(found['lots'])}"
    for each in found.get("consequences") or ():
        under = f" ({ctx.say('by', '因')} {each['into']})" if each.get("into") != record["violation"] else ""
        told = f"{each['rule']}  {each['point']}  {word(ctx, each['condition'])}  {ctx.say('since', '自')} {local(each['first']['wall_us'], zone)}"
        yield f"{ctx.say('holds', '包含')}      {each['violation']}{under}  {told}" + (f"  {each['minutes']} {ctx.say('min', '分钟')}" if each["condition"] == "recovered" else "")
    if asked := record.get("withdrawal"):
        yield f"{ctx.say('withdrawal', '撤销')} {ctx.say('asked for by', '申请人')} {asked['by']}: {asked['reason']}"
    yield from _assessment(ctx, record.get("assessment") or {}, zone)
    for step in () if "steps" in found else record.get("log", ()):
        photos = f"  {ctx.say('photos', '照片')} {len(step['photos'])}" if step.get("photos") else ""
        proof = f" ({said(ctx, step['proof'])})" if step.get("proof") else ""
        yield f"  {local(step['wall_us'], zone)}  {said(ctx, step['step'])}  {step.get('by', '')}{proof}  {step['reason']}{photos}"
    for number, step in enumerate(rule.get(f"do_{ctx.language}") or (), 1):
        yield f"{ctx.say('do', '怎么办')} {number}  {step}"


def _basis(ctx: Context, record: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """An entry has it in English; the rule has its parts."""
    if ctx.language != "zh" or not rule.get("standard"):
        return basis_words(str(record.get("basis") or ""), ctx.language)
    clause = {"unknown": "，条款未核实", "none": "", "": ""}.get(str(rule.get("clause") or ""), f"，{rule.get('clause')}")
    return f"{standard_words(str(rule['standard']), 'zh')}（{rule.get('basis_edition', '')}）{clause}"


def _measured(ctx: Context, record: Mapping[str, Any], zone: str) -> Iterator[str]:
    whole = record.get("whole") or {}
    first = whole.get("first") or record["first"]
    text = f"{ctx.say('since', '自')} {local(first['wall_us'], zone)}"
    if (peak := whole.get("peak", record.get("peak"))) is not None:
        text += f"  {ctx.say('peak', '极值')} {figure(peak, str(record.get('limit') or ''))}"
    beyond_us = whole.get("beyond_us")
    text += f"  {ctx.say('beyond the limit', '超限')} {span(beyond_us / 1e6)}" if beyond_us else ""
    text += f"  {ctx.say('episodes', '次数')} {record['episode']}" if record.get("episode", 1) > 1 else ""
    yield f"{ctx.say('measured', '实测')}   {text}"


def _assessment(ctx: Context, assessment: Mapping[str, Any], zone: str) -> Iterator[str]:
    for key, value in assessment.items():
        if key == "period":
            text = f"{local(value['from_us'], zone)} – {local(value['to_us'], zone)}"
        elif key == "products":
            text = ", ".join(f"{said(ctx, each['what'])} {each['kg']} kg {each.get('lot', '')}".strip() for each in value)
        elif key == "lots":
            text = ", ".join(value) or said(ctx, "none")
        else:
            text = said(ctx, str(value)) if key in ("cause", "severity") else str(value)
        yield f"{said(ctx, key)}: {text}"
