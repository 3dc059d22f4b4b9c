"""``export``: readings out of the journal, as CSV for office programs or JSON lines; reads only, also beside a running gateway."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import JournalDamaged
from edge_gateway.history.export import Count, Format, day_us, export, moment_us
from edge_gateway.history.record import Lookback, newest_config
from edge_gateway.journal.reading import Reading

_ALL = (-(2**62), 2**62)


@verb(
    "export",
    zh="从台账导出读数：CSV（带 BOM，含本地时间、时差、UTC、质量）或 JSON 行。只读；网关可同时运行。\n\n退出码：1 有未知测点，或部分台账无法读取。",
    examples=[
        "edge-gateway export --day 2026-03-05 > 2026-03-05.csv",
        "edge-gateway export --from 24h --point cold1-air --format jsonl",
        "edge-gateway export --from 2026-03-05T14:00 --to 2026-03-06 --out march.csv",
    ],
)
@option(
    "--from",
    "from_",
    metavar="MOMENT",
    help="first moment: 2026-03-05, 2026-03-05T14:00 (local), or 24h ago",
    zh="起始时刻：2026-03-05、2026-03-05T14:00（当地时间），或 24h 之前",
)
@option("--to", metavar="MOMENT", help="the moment before which it ends", zh="截止时刻（不含）")
@option(
    "--day", metavar="DATE", help="one local day instead of --from and --to", zh="当地的某一天，代替 --from 和 --to"
)
@option("--point", "points", multiple=True, help="this point only; may be repeated", zh="仅此测点；可重复")
@option(
    "--format", "how", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True, help="form", zh="格式"
)
@option("--timezone", help="of local times; by default the site's", zh="当地时间的时区；默认为站点时区")
@option(
    "--bom/--no-bom",
    default=True,
    help="CSV begins with a BOM, so that Excel reads it as UTF-8",
    zh="CSV 以 BOM 开头，便于 Excel 识别 UTF-8",
)
@option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="write to this new file",
    zh="写入此新文件（不覆盖）",
)
@click.pass_obj
def command(ctx: Context, /, how: str, points: tuple[str, ...], out: Path | None, **asked: Any) -> int:
    """Export readings from the journal: CSV with BOM, local time, its offset, UTC and quality; or JSON lines.

    The journal is not changed, and the gateway may be running. Exit code 1: an unknown point, or a damaged part.
    """
    reading = Reading(ctx.state_dir)
    try:
        zone = _zone(asked["timezone"] or site_zone(reading))
        low_us, high_us = period(asked["from_"], asked["to"], asked["day"], zone)
        lookback, count = Lookback(reading), Count()
        rows = lookback.rows(low_us, high_us, frozenset(points) or None)
        empty = ctx.say("no readings in this period", "此时段没有读数")
        with _target(out) as file:
            for chunk in export(rows, zone, cast("Format", how), count, empty=empty, bom=asked["bom"]):
                file.write(chunk)
        seen = witnessed_by_any(reading)
    finally:
        reading.close()
    if not seen:
        text = "UNWITNESSED: nobody but this gateway vouches for them (no hub's cosignature, by a key that a person configured, is in this record)"
        click.echo(ctx.say(text, "未见证：除本网关外无人为其证明（此台账中没有监管端以人工配置的公钥作出的联署）"), err=True)
    return _conclude(ctx, lookback, count, points)


def witnessed_by_any(reading: Reading) -> bool:
    """Whether any part of the record was cosigned by a hub that it is, or was, owed to."""
    from edge_gateway.journal.keeping import witnessed

    with suppress(JournalDamaged):  # told where it is read
        notes = reading.checkpoints()
        return any(witnessed(notes, due.key()) for due in reading.keeping().dues)
    return False


def _conclude(ctx: Context, lookback: Lookback, count: Count, points: tuple[str, ...]) -> int:
    say = ctx.say
    click.echo(say(f"{count.rows} readings", f"共 {count.rows} 条读数"), err=True)
    if count.untrusted:
        text = f"{count.untrusted} of them have a time that nobody vouches for (clock = untrusted)"
        click.echo(say(text, f"其中 {count.untrusted} 条的时间未经校准（clock = untrusted）"), err=True)
    if count.corrected:
        text = f"of {count.corrected} of them a calibration says by how much they were off (column correction: add it to the value; the value is as it was measured)"
        click.echo(say(text, f"其中 {count.corrected} 条读数有校准给出的修正值（correction 列：与数值相加；数值保持测得时的原样）"), err=True)
    unknown = sorted(set(points) - lookback.points_seen)
    if unknown:
        known = ", ".join(sorted(lookback.points_seen)) or "-"
        click.echo(say(f"no such point in the record: {', '.join(unknown)}; there are: {known}",
                       f"台账中没有测点：{', '.join(unknown)}；现有：{known}"), err=True)  # fmt: skip
    for where in lookback.damaged:
        click.echo(say(f"could not be read: {where}", f"无法读取：{where}"), err=True)
    if lookback.undecodable:
        text = f"{lookback.undecodable} batches could not be decoded"
        click.echo(say(text, f"{lookback.undecodable} 个批次无法解码"), err=True)
    return NO if unknown or lookback.damaged or lookback.undecodable else OK


def period(from_: str | None, to: str | None, day: str | None, zone: ZoneInfo) -> tuple[int, int]:
    """What --from, --to and --day ask for, in µs; without any of them everything."""
    if day and (from_ or to):
        raise click.UsageError("give --day, or --from and --to")
    try:
        if day:
            return day_us(day, zone)
        now_us = time.time_ns() // 1000
        low_us = moment_us(from_, zone, now_us) if from_ else _ALL[0]
        high_us = moment_us(to, zone, now_us) if to else _ALL[1]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if low_us >= high_us:
        raise click.UsageError("--from must be before --to")
    return low_us, high_us


def site_zone(reading: Reading) -> str:
    """The site's time zone by the newest configuration in the record; UTC if there is none yet."""
    config = newest_config(reading)
    return str(config["site"].get("timezone") or "UTC") if config else "UTC"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise click.UsageError(f"'{name}' is no time zone; use a name such as Asia/Shanghai") from error


@contextmanager
def _target(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = out.open("xb")
    except OSError as error:
        raise click.UsageError(
            f"cannot write {out}: {error.strerror}; a file that exists is never overwritten"
        ) from error
    with file:
        yield file
