"""Words of states in both languages, and times, spans and numbers as people read them; knows no verb."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge_gateway.cli.verbs import Context
from edge_gateway.units import show, unit_of
from edge_gateway.web.rule_words import limit_words

#: Identifier -> (English, Chinese). Identifiers themselves stand in --json and never change.
WORDS: Mapping[str, tuple[str, str]] = {
    # states of a point
    "violation": ("VIOLATION", "违规"),
    "notice": ("notice", "预警"),
    "beyond": ("beyond the limit, no notice yet", "超限，计时中"),
    "no-data": ("no data", "无数据"),
    "normal": ("within limits", "正常"),
    # condition and handling of a violation
    "active": ("active", "未恢复"),
    "recovered": ("recovered", "已恢复"),
    "unknown": ("unknown", "未知"),
    "new": ("new", "新发生"),
    "acknowledged": ("acknowledged", "已知悉"),
    "correcting": ("correcting", "整改中"),
    "submitted": ("submitted", "已提交"),
    "closed": ("closed", "已关闭"),
    "withdrawn": ("withdrawn", "已撤销"),
    "merged": ("merged", "已合并"),
    # quality
    "good": ("good", "良好"),
    "uncertain": ("uncertain", "存疑"),
    "bad": ("bad", "无效"),
    "bad:no-data": ("no data yet", "尚无数据"),
    "bad:no-answer": ("no answer from the device", "设备无应答"),
    "bad:link-down": ("line or connection gone", "线路或连接中断"),
    "bad:frame": ("broken answer", "应答损坏"),
    "bad:refused": ("the device refuses", "设备拒绝"),
    "bad:busy": ("the device is busy", "设备忙"),
    "bad:gateway": ("the gateway behind does not reach it", "中间网关无法到达设备"),
    "bad:sentinel": ("the probe reports a fault", "探头报告故障"),
    "bad:nan": ("not a number", "不是数值"),
    "bad:range": ("outside what the probe can measure", "超出探头量程"),
    "bad:missing": ("missing in the message", "消息中缺失"),
    "bad:unparsed": ("cannot be read", "无法解析"),
    "uncertain:queued": ("waited at the broker, no time of its own", "在代理处排队，无自带时间"),
    "uncertain:late": ("older than the last reading judged", "早于上一次已判定的读数"),
    "uncertain:future": ("its own time lies ahead of ours", "自带时间晚于本机"),
    "bad:power-on": ("the probe's power-on value, no measurement", "探头上电初值，未完成测量"),
    "bad:fault-current-low": ("fault current, 3.6 mA or less: broken loop or a transmitter that reports a fault", "故障电流，不高于 3.6 mA：回路断线或变送器报故障"),
    "bad:fault-current-high": ("fault current, 21 mA or more: short circuit or a transmitter that reports a fault", "故障电流，不低于 21 mA：短路或变送器报故障"),
    "bad:stale": ("an input is too old", "输入数据过旧"),
    "uncertain:off-span": ("the current is outside 3.8 to 20.5 mA", "电流超出 3.8–20.5 mA"),
    "uncertain:counter-reset": ("the counter began anew", "计数器已重新开始"),
    "uncertain:incomplete": ("inputs were missing for a while: a lower bound", "部分输入缺失：为下限值"),
    # buses
    "up": ("up", "正常"),
    "down": ("DOWN", "中断"),
    "idle": ("not opened yet", "尚未打开"),
    "answers": ("answers", "有应答"),
    "silent": ("silent", "无应答"),
    "connected": ("connected", "已连接"),
    "disconnected": ("DISCONNECTED", "未连接"),
    # sinks
    "ok": ("ok", "正常"),
    "connecting": ("connecting", "连接中"),
    "unreachable": ("UNREACHABLE", "无法到达"),
    "unauthorised": ("NOT AUTHORISED", "未获授权"),
    "held": ("holding", "暂缓"),
    # what may be wrong with the journal
    "damaged": ("the journal was damaged", "台账曾损坏"),
    "troubled": ("the disk refuses work", "磁盘拒绝工作"),
    # reasons of gaps
    "backed-off": ("rested after failures", "多次失败后暂停"),
    "busy": ("the pace could not be kept", "来不及读取"),
    "journal-full": ("journal full", "台账已满"),
    "stopped": ("gateway stopped", "网关已停止"),
    "killed": ("gateway killed", "网关被终止"),
    "power-off": ("power off", "断电"),
    "reconfigured": ("reconfigured", "配置已更改"),
}


def word(ctx: Context, identifier: str) -> str:
    """The identifier in the reader's language; an unknown one stands for itself."""
    return ctx.say(*WORDS.get(identifier, (identifier, identifier)))


def quality(ctx: Context, identifier: str) -> str:
    """``good``, or ``bad (no answer from the device)``."""
    kind, _, _why = identifier.partition(":")
    if not _why:
        return word(ctx, kind)
    return ctx.say(f"{word(ctx, kind)} ({word(ctx, identifier)})", f"{word(ctx, kind)}（{word(ctx, identifier)}）")


def local(wall_us: int, zone: str) -> str:
    """``2026-03-05 14:03:27 +08:00``: never without its offset."""
    moment = datetime.fromtimestamp(wall_us / 1e6, UTC).astimezone(ZoneInfo(zone)).isoformat(" ", "seconds")
    return f"{moment[:19]} {moment[19:]}"


def span(seconds: float) -> str:
    """``2 h 10 min``: two parts at the most."""
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // small)} {small_unit}"
    return f"{seconds:.0f} s"


def name(ctx: Context, row: Mapping[str, Any]) -> str:
    """The display name in the reader's language."""
    return str(row["name_zh"] if ctx.language == "zh" else row["name_en"])


#: How well a limit is known, behind it; nothing for one that was read in the standard's own text.
_KNOWN = {"secondary": (" (secondary source)", "（据二手来源）"), "no": (" (operator's value, unverified)", "（运营方数值，未核实）")}


def known(ctx: Context, limit: Mapping[str, Any]) -> str:
    """What stands behind a limit that nobody read in the standard's own text."""
    return ctx.say(*_KNOWN.get(str(limit.get("verified")), ("", "")))


def limits(ctx: Context, row: Mapping[str, Any]) -> str:
    """All limits of a row in words, with the mark of those that nobody verified."""
    found = []
    for limit in row["limits"]:
        text = str(limit.get("limit") or "")
        if not text:
            continue
        found.append(limit_words(text, ctx.language) + known(ctx, limit))
    return "; ".join(dict.fromkeys(found)) or ctx.say("no limit", "无限值")


def figure(number: Any, limit: str) -> str:
    """What a rule measured, with the unit of its limit: ``-17.8 °C``. "" for nothing."""
    return "" if number is None else f"{number:.6g} {unit_of(limit)}".rstrip()


def value(ctx: Context, row: Mapping[str, Any]) -> str:
    """The value with its unit; in brackets when it is old."""
    if row["value"] is None:
        return word(ctx, "no-data")
    shown = show(row["value"], row["decimals"], row["unit"])
    return f"({shown})" if row.get("stale") else shown
