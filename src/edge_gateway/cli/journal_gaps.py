"""``journal gaps`` and ``journal availability``: whether every expected slot is accounted for, and how much of each day; reads only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from edge_gateway.cli.export import period, site_zone
from edge_gateway.cli.judging import judging
from edge_gateway.cli.main import NO, OK, WARNINGS
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.cli.words import WORDS

if TYPE_CHECKING:
    from edge_gateway.history.accounts import Accounted
    from edge_gateway.record.availability import Day, Slots, Stretch

#: Stretches that one answer names; of more than these only the number is told.
MOST_NAMED = 10_000

_FOLDER = click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
_FROM = option("--from", "from_", metavar="MOMENT", help="first moment: 2026-03-05, 2026-03-05T14:00 (local), or 24h ago", zh="起始时刻：2026-03-05、2026-03-05T14:00（当地时间），或 24h 之前")
_TO = option("--to", metavar="MOMENT", help="the moment before which it ends", zh="截止时刻（不含）")
_DAY = option("--day", metavar="DATE", help="one local day instead of --from and --to", zh="当地的某一天，代替 --from 和 --to")
_JSON = option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")


@verb(
    "gaps",
    zh="核算每个轮询组的每个应采时刻：有读数、读数无效并说明原因、处于已说明原因的缺口，或无从解释。离线、只读，可在网关运行时使用。\n\n"
    "退出码：0 全部有据可查，1 有无从解释或重复计入的时刻，3 台账有损坏而无法判定。",
    examples=["edge-gateway journal gaps", "edge-gateway journal gaps --day 2026-03-05 --json", "edge-gateway journal gaps /media/usb/state --group cold1-th.0"],
)
@_FOLDER
@_FROM
@_TO
@_DAY
@option("--group", "groups", multiple=True, help="this poll group only; may be repeated", zh="仅此轮询组；可重复")
@_JSON
@click.pass_obj
def gaps(ctx: Context, /, folder: Path | None, groups: tuple[str, ...], as_json: bool, **asked: Any) -> int:
    """Account for every expected slot of every poll group: a batch, a bad one with its reason, in a gap with a reason, or unexplained.

    Offline and read-only, also while the gateway runs. Slots are counted across power losses, upgrades and clock steps.

    Exit codes: 0 every slot is accounted for, 1 some are unexplained or counted twice, 3 cannot decide: the record is damaged.
    """
    named: list[Stretch] = []
    more = 0

    def told(stretch: Stretch) -> None:
        nonlocal more
        if not groups or stretch.group in groups:
            if len(named) < MOST_NAMED:
                named.append(stretch)
            else:
                more += 1

    found, zone, damaged = _accounted(ctx, folder, asked, told)
    slots = {} if found is None else {g: s for g, s in found.availability.slots.items() if not groups or g in groups}
    wrong = any(each.unexplained or each.doubled for each in slots.values())
    outcome = "unexplained" if wrong else "cannot-decide" if damaged else "accounted"
    if as_json:
        answer: dict[str, Any] = {"schema": "edge-gateway/journal-gaps/1", "outcome": outcome, "groups": {g: _slots(s) for g, s in sorted(slots.items())}}
        answer |= {"gaps": [_stretch(each) for each in named], "more": more, "pending": found.pending if found else 0}
        answer |= {"untrusted": found.untrusted if found else 0} | ({"damaged": damaged} if damaged else {})
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        for line in _gap_lines(ctx, zone, named, more):
            click.echo(line)
        for line in _slot_lines(ctx, slots, found, damaged):
            click.echo(line)
    return {"accounted": OK, "unexplained": NO, "cannot-decide": WARNINGS}[outcome]


@verb(
    "availability",
    zh="每个测点每天（站点时区）的数据可用率：良好读数所代表的时间，占应有读数时间的比例。每个读数代表到下一个应采时刻为止，最多一个间隔。离线、只读。\n\n"
    "退出码：0 已算出，3 台账有损坏，只算到损坏处。",
    examples=["edge-gateway journal availability --day 2026-03-05", "edge-gateway journal availability --from 30d --point cold1-air --json"],
)
@_FOLDER
@_FROM
@_TO
@_DAY
@option("--point", "points", multiple=True, help="this point only; may be repeated", zh="仅此测点；可重复")
@_JSON
@click.pass_obj
def availability(ctx: Context, /, folder: Path | None, points: tuple[str, ...], as_json: bool, **asked: Any) -> int:
    """Each point's data availability, day by day in the site's time zone: the share of the time expected that good readings stand for.

    A reading stands for the time until the next slot, at most its interval. Uncertain readings are told apart, and are not good.

    Exit codes: 0 computed, 3 the record is damaged, and it is computed as far as it reads.
    """
    found, zone, damaged = _accounted(ctx, folder, asked, lambda _: None)
    days = [] if found is None else [day for day in found.availability.days() if not points or day.point in points]
    if as_json:
        answer: dict[str, Any] = {"schema": "edge-gateway/journal-availability/1", "timezone": zone.key, "days": [_day(day) for day in days]}
        click.echo(json.dumps(answer | ({"damaged": damaged} if damaged else {}), ensure_ascii=False))
    else:
        for day in days:
            click.echo(f"{day.day}  {day.point:<32} {day.availability * 100:6.2f} %{_missing(ctx, day)}")
        if not days:
            click.echo(ctx.say("no slots were expected in this period", "此时段没有应采时刻"))
        if damaged:
            click.echo(ctx.say(f"the record is damaged: {damaged}", f"台账有损坏：{damaged}"), err=True)
    return WARNINGS if damaged else OK


def _accounted(ctx: Context, folder: Path | None, asked: dict[str, Any], told: Callable[[Stretch], None]) -> tuple[Accounted | None, ZoneInfo, str]:
    """The accounting of the period, the site's time zone, and where the record is damaged."""
    from edge_gateway.history.accounts import account
    from edge_gateway.journal.reading import Reading

    with judging(damaged=WARNINGS):
        reading = Reading(folder or ctx.state_dir)
    try:
        zone = ZoneInfo(site_zone(reading))
        within = period(asked["from_"], asked["to"], asked["day"], zone)
        found = account(reading, zone, told=told, period=within)
        return found, zone, found.damaged
    finally:
        reading.close()


def _slots(slots: Slots) -> dict[str, Any]:
    return {"good": slots.good, "bad": dict(slots.bad), "gaps": dict(slots.gaps), "unexplained": slots.unexplained, "doubled": slots.doubled}


def _stretch(each: Stretch) -> dict[str, Any]:
    return {"group": each.group, "since": _utc(each.since_us), "until": _utc(each.until_us), "slots": each.slots, "reason": each.reason or "unexplained"}


def _utc(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds")


def _day(day: Day) -> dict[str, Any]:
    cell = day.cell
    return {
        "day": day.day.isoformat(), "point": day.point, "availability": round(day.availability, 6), "expected_s": _s(cell.expected_us),
        "good_s": _s(day.good_us), "uncertain_s": _s(day.doubt.uncertain_us), "bad_s": _all_s(day.doubt.bad_us), "gap_s": _all_s(cell.gap_us),
        "unexplained_s": _s(cell.unexplained_us),
    }  # fmt: skip


def _s(span_us: int) -> float:
    return round(span_us / 1e6, 3)


def _all_s(spans_us: Counter[str]) -> dict[str, float]:
    return {name: _s(span_us) for name, span_us in spans_us.items()}


def _word(ctx: Context, name: str) -> str:
    return ctx.say(*WORDS.get(name, (name, name)))


def _missing(ctx: Context, day: Day) -> str:
    """What the rest of the day is, the largest share first."""
    shares = Counter(day.doubt.bad_us) + Counter(day.cell.gap_us) + Counter({"uncertain": day.doubt.uncertain_us})
    shares[ctx.say("unexplained", "无从解释")] = day.cell.unexplained_us
    parts = (f"{_word(ctx, name)} {100 * span / day.cell.expected_us:.2f} %" for name, span in shares.most_common() if span)
    told = ", ".join(parts)
    return f"   {told}" if told else ""


def _gap_lines(ctx: Context, zone: ZoneInfo, named: list[Stretch], more: int) -> Iterator[str]:
    for each in named:
        if each.slots:
            since, until = (datetime.fromtimestamp(at / 1e6, zone).isoformat(" ", "seconds") for at in (each.since_us, each.until_us))
            why = _word(ctx, each.reason) if each.reason else ctx.say("UNEXPLAINED", "无从解释")
            yield ctx.say(f"{each.group}  {since} … {until}  {each.slots} slots: {why}", f"{each.group}  {since} … {until}  {each.slots} 个时刻：{why}")
    if more:
        yield ctx.say(f"… and {more} more", f"……另有 {more} 处")


def _slot_lines(ctx: Context, slots: dict[str, Slots], found: Accounted | None, damaged: str) -> Iterator[str]:
    total, unexplained, doubled = Counter[str](), 0, 0
    for each in slots.values():
        total += Counter(good=each.good, bad=each.bad.total(), gaps=each.gaps.total())
        unexplained, doubled = unexplained + each.unexplained, doubled + each.doubled
    yield ctx.say(
        f"{len(slots)} poll groups: {total['good']} slots good, {total['bad']} bad, {total['gaps']} in gaps, {unexplained} unexplained",
        f"{len(slots)} 个轮询组：良好 {total['good']}，无效 {total['bad']}，缺口 {total['gaps']}，无从解释 {unexplained}",
    )
    if doubled:
        yield ctx.say(f"{doubled} slots are counted twice", f"重复计入 {doubled} 个时刻")
    if found is not None and found.untrusted:
        yield ctx.say(f"{found.untrusted} entries have a time that nobody vouches for", f"{found.untrusted} 条记录的时间无人担保")
    if damaged:
        yield ctx.say(f"the record is damaged: {damaged}", f"台账有损坏：{damaged}")
