"""``record list|show|trace``: lots and records as the running gateway, or the journal itself, has them; changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK, WARNINGS
from edge_gateway.cli.record_words import expiring_line, lot_line, record_lines, trace_lines
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.traceability.model import RecordRefused
from edge_gateway.traceability.trace import Period, in_force, lots_in_force, mark_periods, violation_periods
from edge_gateway.traceability.trace import trace as traced

if TYPE_CHECKING:
    from edge_gateway.journal.reading import Reading

_JSON = option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")


@verb(
    "list",
    zh="批次（最新在前）与即将到期的证照；--all 从台账读出全部有效记录，网关不必运行。",
    examples=["edge-gateway record list", "edge-gateway record list --all --json"],
)
@option("--all", "all_", is_flag=True, help="every record in force, out of the journal; works without the gateway", zh="从台账读出全部有效记录；网关不必运行")
@_JSON
@click.pass_obj
def list_(ctx: Context, all_: bool, as_json: bool) -> int:
    """Lots, newest first, and what expires soon, as the running gateway has them."""
    if all_:
        entries, _, zone, unread = _read(ctx.state_dir)
        records, odd = in_force(entries)
        if as_json:
            click.echo(json.dumps({"schema": "edge-gateway/records/1", "records": records, "odd": odd, "unread": unread}, ensure_ascii=False))
        else:
            for record in records:
                click.echo("\n".join(record_lines(ctx, record, zone)))
        return _whole(ctx, unread, odd)
    found = Client(ctx.socket).get("/v1/records")
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/records/1", **found}, ensure_ascii=False))
        return OK
    for item in found["expiring"]:
        click.echo(expiring_line(ctx, item))
    for lot in found["lots"]:
        click.echo(lot_line(ctx, lot))
    if not found["lots"]:
        click.echo(ctx.say("no lot is here", "没有在场批次"), err=True)
    return OK


@verb("show", zh="显示一条记录及其更正；从台账读出。", examples=["edge-gateway record show tlf-007-R12"])
@click.argument("record")
@_JSON
@click.pass_obj
def show(ctx: Context, record: str, as_json: bool) -> int:
    """One record, and what corrected it or was corrected by it, out of the journal."""
    entries, _, zone, unread = _read(ctx.state_dir)
    wanted = {record}
    for entry in [*entries, *reversed(entries)]:
        if {entry["record"], entry.get("corrects")} & wanted:
            wanted |= {entry["record"], *([entry["corrects"]] if entry.get("corrects") else [])}
    found = [entry for entry in entries if entry["record"] in wanted]
    if not any(entry["record"] == record for entry in found):
        raise RecordRefused(f"no record {record[:40]} is in the journal", hint="`edge-gateway record list --all` shows them")
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/records/1", "records": found, "unread": unread}, ensure_ascii=False))
    else:
        for entry in found:
            click.echo("\n".join(record_lines(ctx, entry, zone)))
    return _whole(ctx, unread)


@verb(
    "trace",
    zh="批次追溯：从哪来、途中所在区域遇到的违规和标记、到哪去。从台账读出，网关不必运行。",
    examples=["edge-gateway record trace W-1128", "edge-gateway record trace W-1128 --json"],
)
@click.argument("lot")
@_JSON
@click.pass_obj
def trace(ctx: Context, lot: str, as_json: bool) -> int:
    """Where a lot came from, what it met (violations and marks in its zones while it was there), where it went. Offline, read-only."""
    entries, periods, zone, unread = _read(ctx.state_dir, met=True)
    records, odd = in_force(entries)
    lots, more = lots_in_force(records)
    found = traced(lots, records, lot, periods)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/trace/1", **found, "unread": unread}, ensure_ascii=False))
    else:
        click.echo("\n".join(trace_lines(ctx, found, zone)))
    return _whole(ctx, unread, odd + more)


def _whole(ctx: Context, unread: Sequence[str], odd: int = 0) -> int:
    """Say what could not be read or does not fit: then this is not all, and nobody may think so."""
    for place in unread:
        click.echo(ctx.say(f"not read, the record is damaged at {place}", f"未读出，台账在此损坏：{place}"), err=True)
    if odd:
        click.echo(ctx.say(f"{odd} records do not fit to the others and are passed over", f"{odd} 条记录与其他记录不符，已略过"), err=True)
    return WARNINGS if unread or odd else OK


def _read(state_dir: Path, *, met: bool = False) -> tuple[list[dict[str, Any]], Sequence[Period], str, list[str]]:
    """All ``record`` entries, what happened besides (``met``), the site's time zone, damaged places. Segments without such entries stay closed."""
    from edge_gateway.cli.export import site_zone
    from edge_gateway.evidence.glance import holding
    from edge_gateway.evidence.stretch import chunks
    from edge_gateway.journal.reading import Reading

    kinds, unread = frozenset({"record", "violation", "mark"} if met else {"record"}), list[str]()
    with closing(Reading(state_dir)) as reading:
        here = chunks(reading.known_epochs(), reading.sealed())
        found = [entry for _, entry in holding(state_dir, reading, here, kinds, unread)]
        zone, zones = site_zone(reading), _zones(reading) if met else {}
    of = {kind: [entry for entry in found if entry["kind"] == kind] for kind in kinds}
    periods = [*violation_periods(of["violation"], zones), *mark_periods(of["mark"], zones)] if met else []
    return of["record"], periods, zone, unread


def _zones(reading: Reading) -> dict[str, str]:
    """The zone of each point, by the newest configuration."""
    from edge_gateway.history.record import newest_config

    points = (newest_config(reading) or {}).get("points", {})
    return {name: str(about.get("zone") or "") for name, about in points.items()}
