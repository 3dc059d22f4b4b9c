"""Records, lots and traces as lines for people, in both languages; asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge_gateway.cli.verbs import Context
from edge_gateway.cli.words import figure, local, quality
from edge_gateway.traceability.model import kg
from edge_gateway.units import symbol
from edge_gateway.web.rule_words import limit_words

TYPES: Mapping[str, tuple[str, str]] = {
    "intake": ("intake", "进货查验"),
    "lot": ("lot", "批次"),
    "dispatch": ("dispatch", "产品出场"),
    "document": ("document", "证照"),
}
#: key of a record -> words; in this order.
_KEYS: Mapping[str, tuple[str, str]] = {
    "lot": ("lot", "批次"), "document": ("document", "证照"), "number": ("number", "编号"), "holder": ("holder", "持有人"), "product": ("product", "品名"),
    "supplier": ("supplier", "供货者"), "receiver": ("receiver", "收货者"), "certificate": ("certificate", "检疫证明"), "slip": ("slip", "票据"),
    "vehicle": ("vehicle", "车辆"), "zone": ("zone", "区域"), "expires": ("expires", "有效期至"), "note": ("note", "备注"), "reason": ("reason", "理由"),
    "corrects": ("corrects", "更正"), "by": ("by", "记录人"),
}  # fmt: skip


def weight(ctx: Context, grams: int | None) -> str:
    """In kilograms; "all that is left" for None."""
    return ctx.say("all that is left", "全部余量") if grams is None else f"{kg(grams)} kg"


def measured(ctx: Context, told: Mapping[str, Any]) -> str:
    """A temperature with its point, age, quality and entry."""
    value = ctx.say("no value", "无数值") if told.get("value") is None else f"{told['value']} {symbol(str(told.get('unit', '')))}"
    where = f"  {ctx.say('entry', '条目')} {told['entry'][1]}" if told.get("entry") else ""
    return f"{value}  {told['point']}  {quality(ctx, told['quality'])}  {ctx.say('age', '时延')} {told['age_us'] / 1e6:.0f} s{where}"


def record_lines(ctx: Context, record: Mapping[str, Any], zone: str) -> Iterator[str]:
    """One record, its head first."""
    yield f"{record['record']}  {local(int(record['wall_us']), zone)}  {ctx.say(*TYPES.get(str(record['type']), ('?', '?')))}"
    for key, words in _KEYS.items():
        if record.get(key):
            yield f"  {ctx.say(*words)}: {record[key]}"
    if "grams" in record:
        yield f"  {ctx.say('weight', '重量')}: {kg(int(record['grams']))} kg"
    for name, part in (record.get("from") or {}).items():
        yield f"  {ctx.say('from', '来源')}: {name}  {weight(ctx, part)}"
    if record.get("temperature"):
        yield f"  {ctx.say('temperature', '温度')}: {measured(ctx, record['temperature'])}"
    if record.get("lacking"):
        yield f"  {ctx.say('without', '缺项')}: {', '.join(record['lacking'])}"
    for photo in record.get("photos", ()):
        yield f"  {ctx.say('photo', '照片')}: {photo['sha256']}"


def lot_line(ctx: Context, lot: Mapping[str, Any]) -> str:
    """One lot of the list."""
    left = ctx.say("gone", "已出完") if lot["over"] else f"{kg(lot['grams_left'])} / {kg(lot['grams_in'])} kg"
    days = "" if lot.get("days_left") is None or lot["over"] else f"  {ctx.say('until', '至')} {lot['expires']}{_soon(ctx, lot['days_left'])}"
    missing = "" if lot["certificate"] or lot["from"] else f"  {ctx.say('NO CERTIFICATE', '缺检疫证明')}"
    return f"{lot['id']:<20} {lot['product']:<12} {left:<18} {lot['zone'] or '–':<12}{days}{missing}".rstrip()


def _soon(ctx: Context, days: int) -> str:
    if days < 0:
        return ctx.say(f"  EXPIRED {-days} d ago", f"  已过期 {-days} 天")
    return ctx.say(f"  {days} d left", f"  剩 {days} 天")


def expiring_line(ctx: Context, item: Mapping[str, Any]) -> str:
    """One that expires soon, or did."""
    what = f"{item['document']} {item['number']}" if item.get("document") else f"{ctx.say('lot', '批次')} {item['lot']}"
    return f"{ctx.say('expires', '到期')}  {item['expires']}  {what}{_soon(ctx, item['days_left'])}"


def trace_lines(ctx: Context, found: Mapping[str, Any], zone: str) -> Iterator[str]:
    """Where it came from, what it met, where it went."""
    yield from _lot(ctx, found["lot"], zone, "")
    yield ctx.say("came from", "来源")
    for lot in found["from"]:
        yield from _lot(ctx, lot, zone, "  ")
    origin = [lot for lot in (found["lot"], *found["from"]) if lot["supplier"]]
    yield from (f"  {lot['supplier']}  {ctx.say('certificate', '检疫证明')} {lot['certificate'] or '–'}  {ctx.say('slip', '票据')} {lot['slip'] or '–'}  {ctx.say('lot', '批次')} {lot['id']}" for lot in origin)
    yield from (f"  {item['document']} {item['number']}  {item.get('expires', '')}" for item in found["documents"])
    yield ctx.say("met", "途中情况")
    yield from _met(ctx, [found["lot"], *found["from"]], zone)
    yield ctx.say("went to", "去向")
    for lot in found["into"]:
        yield f"  {ctx.say('lot', '批次')} {lot['id']}  {lot['product']}  {kg(lot['grams_in'])} kg"
    for each in found["dispatches"]:
        how = f"  {ctx.say('DISPOSAL', '无害化处理')}" if each.get("disposal") else ""
        yield f"  {local(int(each['wall_us']), zone)}  {each['lot']}  {kg(each['grams'])} kg  {each['receiver']}  {ctx.say('slip', '票据')} {each.get('slip') or '–'}{how}"
    if not found["into"] and not found["dispatches"]:
        yield f"  {ctx.say('nowhere yet', '尚未出场')}"


def _lot(ctx: Context, lot: Mapping[str, Any], zone: str, indent: str) -> Iterator[str]:
    yield f"{indent}{ctx.say('lot', '批次')} {lot['id']}  {lot['product']}  {kg(lot['grams_in'])} kg  {local(int(lot['began_us']), zone)}"
    if lot.get("temperature"):
        yield f"{indent}  {ctx.say('temperature', '温度')}: {measured(ctx, lot['temperature'])}"
    for stay in lot["stays"]:
        until = ctx.say("still there", "仍在") if stay["end_us"] is None else local(int(stay["end_us"]), zone)
        yield f"{indent}  {stay['zone']}  {local(int(stay['begin_us']), zone)} – {until}"


def _met(ctx: Context, lots: Sequence[Mapping[str, Any]], zone: str) -> Iterator[str]:
    none = True
    for lot in lots:
        for each in lot["met"]:
            none = False
            until = ctx.say("goes on", "持续中") if each["end_us"] is None else local(int(each["end_us"]), zone)
            told = each["told"]
            peak = f"  {ctx.say('peak', '极值')} {figure(told['peak'], str(told.get('limit') or ''))}" if told.get("peak") is not None else ""
            limit = f"  {limit_words(told['limit'], ctx.language)}" if told.get("limit") else ""
            yield f"  {each['id']}  {each['what']}  {each['zone']}  {local(int(each['begin_us']), zone)} – {until}{peak}{limit}  {ctx.say('lot', '批次')} {lot['id']}"
    if none:
        yield f"  {ctx.say('no violation and no mark in its zones while it was there', '在库期间所在区域无违规、无标记')}"
