"""Violations as `regulator-hub violations` tells them, in both languages; pure but for the outbox, which it only reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge_gateway.errors import GatewayError
from edge_gateway.units import readable
from regulator_hub import rows
from regulator_hub.named import answers, is_about
from regulator_hub.outbox import Outbox, Waiting
from regulator_hub.view import View

HANDLING = {
    "new": "new 待知悉", "acknowledged": "acknowledged 已知悉", "correcting": "correcting 整改中", "submitted": "submitted 待核实",
    "closed": "closed 已关闭", "withdrawn": "withdrawn 已撤回", "merged": "merged 已并入",
}  # fmt: skip
CONDITION = {"active": "active 超限中", "recovered": "recovered 已恢复", "unknown": "unknown 未知"}


def rows_of(view: View, outbox: Outbox, now_us: int, *, ended: bool) -> list[dict[str, Any]]:
    """One gateway's, with what is overdue and which commands wait."""
    zone, waiting = rows.site(view)["timezone"], outbox.waiting(view.gateway)
    return [_row(view, step, waiting) | {"timezone": zone} for step in rows.violations(view, ended=ended, now_us=now_us)]


def told_rows(views: Sequence[View], outbox: Outbox, now_us: int, *, ended: bool) -> list[dict[str, Any]]:
    """All of them: overdue first, then violated, then the newest."""
    found = [row for view in views for row in rows_of(view, outbox, now_us, ended=ended)]
    return sorted(found, key=lambda row: (row["ended"], not row["overdue"], not row["violated"], -int(row["step_us"])))


def whole(view: View, violation: str, outbox: Outbox, now_us: int) -> dict[str, Any]:
    """One violation, by its row's name, with its steps, and the commands about it with their answers. Raises GatewayError."""
    found = [row for row in rows_of(view, outbox, now_us, ended=True) if row["row"] == violation]
    if not found:
        raise GatewayError(f"the hub knows no violation '{violation}'")
    return found[0] | {"answers": [answer for answer in view.state["commands"].values() if answers(answer, found[0])]}


def _row(view: View, step: dict[str, Any], waiting: Sequence[Waiting]) -> dict[str, Any]:
    mine = [
        {"id": item.command.id, "verb": item.command.verb, "by": item.command.by, "expires_us": item.command.expires_us}
        | ({"answer": view.state["commands"][item.name]} if item.name in view.state["commands"] else {})
        for item in waiting
        if is_about(item.command, step)
    ]
    return step | {"waiting": mine}


def line(row: dict[str, Any]) -> str:
    """One line for one violation."""
    parts = [f"{row['shown']:<16}", CONDITION.get(row["condition"], row["condition"]), HANDLING.get(row["handling"], row["handling"])]
    parts += [row.get("severity") or "", f"{row['name_zh']} {row['name_en']}", readable(row.get("limit") or "")]
    if row["overdue"]:
        parts.append(f"OVERDUE 超期: {', '.join(row['overdue'])}")
    if row.get("returns"):
        parts.append(f"returned 退回 ×{row['returns']}")
    parts += [f"{each['verb']} waits 待答复" for each in row["waiting"]]
    return "  ".join(filter(None, parts))


def lines(row: dict[str, Any]) -> Iterator[str]:
    """Everything about one."""
    zone = ZoneInfo(row["timezone"])
    yield line(row)
    opened = row.get("opened")
    yield f"  basis 依据  {row.get('basis', '')}" + (f"    opened by entry 起始条目 {opened['epoch']}/{opened['seq']}" if opened else "")
    for what, due_us in (row.get("due") or {}).items():
        late = "  OVERDUE 超期" if what in row["overdue"] else ""
        yield f"  {what:<12}until 期限  {_time(due_us, zone) if due_us else 'when the clock is trusted 待时钟可信'}{late}"
    for each in row.get("held") or ():
        title = f"{each.get('title_zh') or each['rule']} {each.get('title_en') or ''}".rstrip()
        since = (each.get("first") or {}).get("wall_us")
        yield f"  holds 包含  {each['violation']}  {each['name_zh']} {each['name_en']}  {title}  {CONDITION.get(each['condition'], each['condition'])}" + (f"  since 自 {_time(since, zone)}" if isinstance(since, int) else "") + (f"  {each['minutes']} min 分钟" if each["condition"] == "recovered" else "")
    for step in row["steps"]:
        who = f"  {step['by']} ({step.get('proof', 'claimed')})" if step.get("by") else ""
        yield f"  {_time(step['wall_us'], zone)}  {step['step']}{who}  {step.get('reason', '')}".rstrip()
    for answer in row["answers"]:
        yield f"  {_time(answer['wall_us'], zone)}  command 指令 {answer.get('verb', '')} {answer.get('by', '')}: {answer['outcome']} {answer.get('why', '')}".rstrip()
    for each in row["waiting"]:
        yield f"  command 指令 {each['verb']} {each['by']}: waits for the gateway 待网关答复, until 有效至 {_time(each['expires_us'], zone)}"


def _time(us: int, zone: ZoneInfo) -> str:
    local = datetime.fromtimestamp(us // 1_000_000, zone)
    return f"{local:%Y-%m-%d %H:%M:%S} {local.isoformat()[19:]}"

