"""``rules list``: the packs of this site with their states, and what each did lately by the record; reads only."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.drivers_show import columns
from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import JournalError

if TYPE_CHECKING:
    from edge_gateway.config.load import Loaded

#: What is counted: steps of violations, and what rules that were not armed would have done.
COUNTED = ("violated", "notice", "would-have-fired", "stayed-undecided")
#: What a pack's state at a site is called.
STATES = {"enforced": ("enforced", "已启用"), "shadow": ("SHADOW: counts, reports nothing", "影子：只计数，不上报"), "draft": ("DRAFT: not counted", "草案：不计数")}


@verb(
    "list",
    zh="列出本站点的规则包：版本、状态（草案、影子、已启用）、签名、判定的规则数，以及最近若干天记录中的违规、预警和“本应触发”次数。只读；网关可同时运行。",
    examples=["edge-gateway rules list", "edge-gateway rules list --days 7 --json"],
)
@option("--days", type=click.FloatRange(0.01, 366), default=30.0, show_default=True, help="how far back is counted", zh="统计最近多少天")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, days: float, as_json: bool) -> int:
    """List this site's packs: version, state, signature, how many rules judge here, and how often they fired, or would have, by the record.

    Reads only, also beside a running gateway. Without a record nothing is counted.
    """
    from edge_gateway.config.load import load

    loaded = load(ctx.config, ctx.state_dir, running=False)
    since_us = time.time_ns() // 1000 - round(days * 86_400e6)
    unread: list[str] = []
    counts = _counts(ctx.state_dir, since_us, unread)
    packs = [_pack(loaded, at, counts) for at in range(len(loaded.packs))]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/rules-list/1", "days": days, "packs": packs, "unread": unread}, ensure_ascii=False))
        return OK
    head = ["", *ctx.say("version state signed judging violations notices would-have undecided", "版本 状态 签名 判定 违规 预警 本应触发 未定").split()]
    rows = [
        [
            each["pack"], each["version"], ctx.say(*STATES[each["state"]]), ctx.say("yes" if each["signed"] else "no", "有" if each["signed"] else "无"),
            f"{each['judging']}/{each['rules']}", *("-" if counts is None else str(each["counts"][what]) for what in COUNTED),
        ]
        for each in packs
    ]  # fmt: skip
    for line in columns([head, *rows]):
        click.echo(line)
    for each in unread:
        click.echo(ctx.say(f"not counted, cannot be read: {each}", f"未计入，无法读取：{each}"), err=True)
    return OK


def _counts(state_dir: Path, since_us: int, unread: list[str]) -> Counter[tuple[str, str]] | None:
    """(rule, what) -> how often since then; None without a record. What could not be read of that time goes to ``unread``.

    Opens only segments of that time whose footers name such entries.
    """
    from edge_gateway.evidence.glance import holding
    from edge_gateway.evidence.stretch import chunks
    from edge_gateway.journal.reading import Reading

    try:
        reading = Reading(state_dir)
    except JournalError:
        return None
    found: Counter[tuple[str, str]] = Counter()
    try:
        sealed = reading.sealed()
        unread += [f"{each.epoch}/{each.first}: damaged, and not to be had again" for each in sealed if each.lost and each.wall_us[1] >= since_us]
        recent = [each for each in chunks(reading.known_epochs(), sealed) if each.segment is None or each.segment.wall_us[1] >= since_us]
        for _, entry in holding(state_dir, reading, recent, frozenset({"violation", "event"}), unread):
            what = entry.get("step") if entry["kind"] == "violation" else entry.get("event")
            if what in COUNTED and int(entry["wall_us"]) >= since_us:
                found[str(entry["rule"]), str(what)] += 1
    finally:
        reading.close()
    return found


def _pack(loaded: Loaded, at: int, counts: Counter[tuple[str, str]] | None) -> dict[str, Any]:
    pack = loaded.packs[at]
    rules = [rule.id for _, rule in pack.rules()]
    judging = {rule.id for rule in loaded.binding.rules if rule.pack == pack.pack.id}
    return {
        "pack": pack.pack.id, "version": pack.pack.version, "edition": pack.pack.edition, "state": pack.state or "enforced",
        "signed": pack.seal.is_file(), "file": str(pack.file), "rules": len(rules), "judging": len(judging),
        "counts": None if counts is None else {what: sum(counts[rule, what] for rule in rules) for what in COUNTED},
    }  # fmt: skip
