"""A violation out of the record at rest, open or over: its state and every step that it took; opens only segments that hold violations."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge_gateway.cli.client import Client, NotRunning, Refused
from edge_gateway.cli.verbs import Context
from edge_gateway.cli.violation_lines import said
from edge_gateway.cli.words import figure, local, span
from edge_gateway.errors import JournalError
from edge_gateway.violations.record import fresh, replayed

#: What its beginning is: a record whose first kept step is another has lost what came before.
_OPENS = ("notice", "violated")
#: Of a step: what the list of steps says. The rest is the record's.
_STEP_KEYS = (
    "epoch", "seq", "step", "wall_us", "trusted", "condition", "handling", "before", "episode", "value", "peak", "minutes", "by", "proof", "user", "reason",
    "photos", "assessment", "into", "follows", "withdrawal",
)  # fmt: skip


def now(ctx: Context, violation: str) -> tuple[dict[str, Any] | None, str, int]:
    """What the running gateway knows of it (None: it is not open, or none runs), the site's time zone, and the time now (µs)."""
    from edge_gateway.cli.export import site_zone
    from edge_gateway.journal.reading import Reading

    client = Client(ctx.socket)
    try:
        status = client.get("/v1/status")
        zone, now_us = status["site"].get("timezone", "Asia/Shanghai"), int(status["wall_us"])
        return client.get(f"/v1/violations/{quote(violation, safe='')}"), zone, now_us
    except NotRunning:
        with contextlib.closing(Reading(ctx.state_dir)) as reading:
            return None, site_zone(reading), time.time_ns() // 1000
    except Refused as refused:
        if refused.kind != "StepRefused":
            raise
        return None, zone, now_us


def past(state_dir: Path, violation: str) -> dict[str, Any]:
    """``violation`` (its record as its last step left it), ``rule``, ``held``, ``steps``, ``whole`` (its beginning is kept), ``unread`` segments.

    Raises JournalError: it is nowhere in the record, or there is none.
    """
    from edge_gateway.evidence.glance import holding
    from edge_gateway.evidence.stretch import chunks
    from edge_gateway.history.record import newest_config
    from edge_gateway.journal.reading import Reading

    reading = Reading(state_dir)
    unread: list[str] = []
    steps: list[dict[str, Any]] = []
    held: set[str] = set()
    try:
        here = chunks(reading.known_epochs(), reading.sealed())
        for epoch, entry in holding(state_dir, reading, here, frozenset({"violation"}), unread):
            if entry.get("violation") == violation:
                steps.append(entry | {"epoch": epoch})
            elif entry.get("into") == violation:
                held.add(str(entry["violation"]))
        if not steps:
            hint = f"{len(unread)} segments of the record cannot be read: it may stand there" if unread else "`violations list` shows what is open; ids are those of the record and of the hub"
            raise JournalError(f"no violation '{violation}' is in the record that is kept here", hint=hint)
        rule = _rule(newest_config(reading), str(steps[0]["rule"]), str(steps[0]["point"]))
    finally:
        reading.close()
    record = fresh(violation, str(steps[0]["rule"]), str(steps[0]["point"]))
    for entry in steps:
        replayed(record, entry)
    shown = [{key: entry[key] for key in _STEP_KEYS if key in entry} for entry in steps]
    whole = steps[0]["step"] in _OPENS and "before" not in steps[0]
    return {"violation": record, "rule": rule, "held": sorted(held), "lots": [], "steps": shown, "whole": whole, "unread": unread}


def _rule(config: Mapping[str, Any] | None, rule_id: str, point: str) -> dict[str, Any]:
    """What the rule says of itself in the newest configuration; {} where it is gone, or no rule opened the violation."""
    from edge_gateway.rules.base import each_rule

    found = (each for each in each_rule((config or {}).get("rules", ())) if (each["id"], each["point"]) == (rule_id, point))
    rule: dict[str, Any] = next(found, {})
    return {key: rule[key] for key in ("title_zh", "title_en", "do_zh", "do_en", "standard", "clause", "basis_edition") if key in rule}


def step_lines(ctx: Context, found: Mapping[str, Any], zone: str) -> Iterator[str]:
    """Every step in the record's order, a line each."""
    yield f"{ctx.say('steps', '全部步骤')}      {len(found['steps'])}"
    if not found["whole"]:
        yield "  " + ctx.say("its beginning is not kept here any more", "其开头部分在此已不再保存")
    limit = str(found["violation"].get("limit") or "")
    for step in found["steps"]:
        clock = "" if step.get("trusted", True) else ctx.say("  clock not trusted", "  时钟不可信")
        yield f"  {local(step['wall_us'], zone)}  {said(ctx, step['step'])}{_what(ctx, step, limit)}{clock}  #{step['seq']}"
    for segment in found["unread"]:
        yield "  " + ctx.say(f"not read: {segment}", f"未能读取：{segment}")


def _what(ctx: Context, step: Mapping[str, Any], limit: str) -> str:
    """Who, why and what was measured, as far as the step says it."""
    text = f"  {said(ctx, step['before'])} → {said(ctx, step['handling'])}" if step.get("before") not in (None, step.get("handling")) else ""
    if "by" in step:
        proof = f" ({said(ctx, step['proof'])})" if step.get("proof") else ""
        text += f"  {step['by']}{proof}  {step.get('reason', '')}".rstrip()
    elif step.get("value") is not None:
        text += f"  {figure(step['value'], limit)}"
    if "by" not in step and step.get("minutes"):
        text += f"  {ctx.say('beyond the limit', '超限')} {span(step['minutes'] * 60)}"
    text += f"  {ctx.say('photos', '照片')} {len(step['photos'])}" if step.get("photos") else ""
    return text + (f"  → {step['into']}" if step.get("into") and step["step"] == "merged" else "")
