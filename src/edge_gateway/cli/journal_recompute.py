"""``journal recompute``: every value and every outcome again, from raw bytes and the configuration of its time; reads the state folder only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.judging import judging
from edge_gateway.cli.main import NO, OK, WARNINGS
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import JournalDamaged

if TYPE_CHECKING:
    from edge_gateway.recompute.core import Findings

#: The three outcomes, and their exit codes.
SAME, DIFFERS, UNDECIDED = "recomputed", "differs", "cannot-decide"
_EXIT = {SAME: OK, DIFFERS: NO, UNDECIDED: WARNINGS}

_DAMAGED, _EMPTY = "record-damaged", "nothing-there"
#: Why something cannot be decided, in English and Chinese.
_WHY = {
    "payload-kept-as-hash": ("of these messages only the hash was kept", "这些报文只保存了散列"),
    "newer-semantics": ("written by rules of decoding or judging that this release does not know", "其解码或判定规则版本为本版本所不识"),
    "text-missing": ("a profile or configuration text is not here", "缺少档案或配置的文本"),
    "text-unreadable": ("a profile or configuration text does not read", "档案或配置的文本无法读取"),
    "configuration-unknown": ("the configuration that they name is not here", "缺少其所指的配置"),
    "configuration-does-not-tell": ("their configuration does not tell all that is needed", "其配置未载明所需的全部内容"),
    "two-answers-hold-it": ("two answers hold the same registers, and differ", "两次应答含有同一寄存器且互不相同"),
    "depends-on-what-is-not-here": ("depends on readings from before this record begins", "取决于本台账开始之前的读数"),
    _DAMAGED: ("the record is damaged there: see `edge-gateway journal verify`", "台账在该处损坏：见 edge-gateway journal verify"),
    _EMPTY: ("the record holds no reading", "台账中没有读数"),
}
_KINDS = {
    "registers": ("from register bytes", "由寄存器字节"),
    "messages": ("from messages", "由报文"),
    "kernel-files": ("from kernel files", "由内核文件"),
    "counters": ("from counters", "由计数器"),
    "derived": ("by formulas", "由公式"),
}


@verb(
    "recompute",
    zh="由原始字节和当时的配置重新算出每一个读数，由当时的规则重新判定每一个结果（预警、违规、恢复……），并指出第一处不同。离线、只读，可在网关运行时使用；设备档案取自台账保存的文本，不取自磁盘上的文件。\n\n"
    "退出码：0 全部一致，1 有不同，3 无法判定（例如报文只保存了散列）。台账本身是否完整由 journal verify 判定。",
    examples=["edge-gateway journal recompute", "edge-gateway journal recompute /media/usb/state --json"],
)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def recompute(ctx: Context, /, folder: Path | None, as_json: bool) -> int:
    """Derive every value again from its raw bytes, and judge every outcome again by the rules of its time; name the first difference.

    Offline and read-only, also while the gateway runs. Profiles come from the texts that the record keeps, not from files on disk.

    Exit codes: 0 all the same, 1 something differs, 3 cannot decide (a payload kept only as a hash, say). Whether the record is
    whole says `journal verify`.
    """
    from edge_gateway.journal.reading import Reading
    from edge_gateway.recompute.core import Recompute

    with judging(damaged=WARNINGS):
        reading = Reading(folder or ctx.state_dir)
    try:
        again = Recompute(reading.text)
        damaged = _through(reading, again)
    finally:
        reading.close()
    answer = _judged(again.findings, damaged)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/journal-recompute/1"} | answer, ensure_ascii=False))
    else:
        for line in _lines(ctx, answer):
            click.echo(line)
    return _EXIT[answer["outcome"]]


def _through(reading: Any, again: Any) -> str:
    """Everything that reads, in order; where it ends by damage, that in words."""
    try:
        for epoch, entry in reading.entries():
            again.take(epoch, entry)
    except (JournalDamaged, KeyError) as damage:
        return str(damage)
    again.end()
    return ""


def _judged(found: Findings, damaged: str) -> dict[str, Any]:
    undecided = dict(found.undecided) | ({_DAMAGED: 1} if damaged else {})
    if not found.same and not found.differs and not undecided:
        undecided = {_EMPTY: 1}
    judged = found.judged
    outcome = DIFFERS if found.first is not None else UNDECIDED if undecided or judged.undecided else SAME
    answer: dict[str, Any] = {
        "outcome": outcome,
        "entries": found.entries,
        "readings": {"same": dict(found.same), "differs": dict(found.differs), "undecided": undecided, "unread": found.unread},
        "outcomes": {
            "same": dict(judged.same), "differs": judged.differs, "undecided": dict(judged.undecided),
            "sha256": {"journaled": judged.journaled.hexdigest(), "derived": judged.derived.hexdigest()},
        },
        "first": asdict(found.first) if found.first is not None else None,
    }
    if found.first_undecided is not None:
        answer["first_undecided"] = dict(zip(("epoch", "seq", "why"), found.first_undecided, strict=True))
    return answer | ({"damaged": damaged} if damaged else {})


def _lines(ctx: Context, answer: dict[str, Any]) -> Iterator[str]:
    readings = answer["readings"]
    for kind, count in readings["same"].items():
        yield ctx.say(f"{count} readings derived again {_KINDS[kind][0]}", f"{_KINDS[kind][1]}重新算出 {count} 个读数")
    if readings["unread"]:
        count = readings["unread"]
        yield ctx.say(f"{count} readings that nothing came for, and that say so", f"{count} 个读数没有收到数据，且已如实标明")
    for why, count in readings["undecided"].items():
        yield ctx.say(f"{count} undecided: {_WHY[why][0]}", f"{count} 个无法判定：{_WHY[why][1]}")
    yield from _outcome_lines(ctx, answer["outcomes"])
    if (first := answer["first"]) is not None:
        differs = sum(readings["differs"].values())
        place = f"{first['epoch']}/{first['seq']} {first['point']}"
        yield ctx.say(
            f"DIFFERS, first at {place}: journaled {_told(first['journaled'])}, derived {_told(first['derived'])} ({differs} in all)",
            f"有不同，首处位于 {place}：台账为 {_told(first['journaled'])}，算得 {_told(first['derived'])}（共 {differs} 处）",
        )
    elif answer["outcome"] == UNDECIDED:
        yield ctx.say("CANNOT DECIDE", "无法判定")
    else:
        yield ctx.say("RECOMPUTED: every value is what its raw bytes and configuration give, every outcome what its rule gives", "重新算出：每个读数都与其原始字节和配置相符，每个判定都与其规则相符")


def _outcome_lines(ctx: Context, outcomes: dict[str, Any]) -> Iterator[str]:
    if count := sum(outcomes["same"].values()):
        yield ctx.say(f"{count} outcomes of rules judged again: the same", f"重新判定 {count} 个规则结果：一致")
    for why, count in outcomes["undecided"].items():
        yield ctx.say(f"{count} outcomes of rules undecided: {_WHY[why][0]}", f"{count} 个规则结果无法判定：{_WHY[why][1]}")
    yield ctx.say(f"hash of the outcomes {outcomes['sha256']['journaled']}", f"规则结果的散列 {outcomes['sha256']['journaled']}")


def _told(reading: Any) -> str:
    return json.dumps(reading, ensure_ascii=False)
