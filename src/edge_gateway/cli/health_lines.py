"""A line's health as lines for people: counters, what is seen, what may be behind it, what to do; asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge_gateway.cli.verbs import Context
from edge_gateway.links import health_words

#: Counters in the order shown: (key, English, Chinese).
COUNTERS = (
    ("frames", "answers", "应答"),
    ("timeouts", "time-outs", "超时"),
    ("crc_errors", "CRC errors", "CRC 错误"),
    ("damaged", "damaged in all", "受损合计"),
    ("exceptions", "exceptions", "异常"),
    ("late", "late", "迟到"),
    ("retries", "retries", "重试"),
)


def names(health: Mapping[str, Any], units: list[int]) -> str:
    """``unit 5 (cold2-air)`` for each unit, with the devices behind it."""
    behind: dict[int, list[str]] = {}
    for device, about in health.get("devices", {}).items():
        behind.setdefault(about.get("unit"), []).append(device)
    return ", ".join(f"{unit} ({'/'.join(behind[unit])})" if unit in behind else str(unit) for unit in units)


def hours(finding: Mapping[str, Any], zone: str) -> str:
    """The hours of a finding as ranges of the site's clock: ``06-08, 14``; empty for none."""
    shown = sorted({datetime.fromtimestamp(at_s, ZoneInfo(zone)).hour for at_s in finding["hours"]})
    runs: list[list[int]] = []
    for hour in shown:
        if runs and hour == runs[-1][1] + 1:
            runs[-1][1] = hour
        else:
            runs.append([hour, hour])
    return ", ".join(f"{first:02}:00–{last:02}:59" for first, last in runs)


def seen(ctx: Context, health: Mapping[str, Any], finding: Mapping[str, Any], zone: str) -> str:
    """What is seen, where, when and on what evidence, in one line."""
    parts = [health_words.short(finding["code"], ctx.language)]
    if finding["units"]:
        parts.insert(0, f"{ctx.say('unit', '从站')} {names(health, finding['units'])}")
    if finding["hours"]:
        parts.append(f"{ctx.say('at', '时段')} {hours(finding, zone)}")
    if figures := health_words.evidence(finding["figures"], ctx.language):
        parts.append(f"({figures})")
    return "  ".join(parts)


def behind(ctx: Context, finding: Mapping[str, Any]) -> Iterator[str]:
    """The likely causes, and what to do about each, likeliest first."""
    causes = health_words.causes(finding["causes"], ctx.language)
    if causes:
        yield f"{ctx.say('likely', '可能原因')}: {ctx.say('; ', '；').join(causes)}"
        yield f"{ctx.say('next', '下一步')}: {health_words.next_step(finding['causes'], ctx.language)}"


def steps(ctx: Context, finding: Mapping[str, Any]) -> Iterator[str]:
    """Every likely cause with what to do about it, likeliest first: for a person who stands at the line."""
    if finding["causes"]:
        yield ctx.say("likely, in this order:", "可能原因，依次为：")
    causes = health_words.causes(finding["causes"], ctx.language)
    for number, (cause, step) in enumerate(zip(causes, health_words.steps(finding["causes"], ctx.language), strict=True), 1):
        yield f"{number}. {cause}"
        yield f"   {ctx.say('do', '处理')}: {step}"


def counters(ctx: Context, counts: Mapping[str, int]) -> str:
    """``answers 1204 · time-outs 3``, zeros left out but for the answers."""
    shown = [f"{ctx.say(en, zh)} {counts[key]}" for key, en, zh in COUNTERS if counts[key] or key == "frames"]
    return " · ".join(shown)


def summed(units: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """All units' counters added up."""
    return {key: sum(unit[key] for unit in units.values()) for key, _, _ in COUNTERS}


def status_lines(ctx: Context, health: Mapping[str, Any], zone: str) -> Iterator[str]:
    """For status: the line's counters, those of units with trouble, and findings."""
    link = health.get("link")
    if not link or not link["units"]:
        return
    found = [finding for finding in link["findings"] if finding["level"] != "ok"]
    word = ctx.say("line", "线路")
    yield f"           {word}  {health_words.short(link['findings'][0]['code'], ctx.language)}  {counters(ctx, summed(link['units']))}"
    for number, unit in link["units"].items():
        if any(unit[key] for key, _, _ in COUNTERS[1:]) and len(link["units"]) > 1:
            yield f"           {ctx.say('unit', '从站')} {names(health, [int(number)])}  {counters(ctx, unit)}"
    for finding in found:
        yield f"           {'!' if finding['level'] == 'fail' else '~'} {seen(ctx, health, finding, zone)}"
        yield from (f"             {line}" for line in behind(ctx, finding))
