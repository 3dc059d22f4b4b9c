"""``journal export``: an evidence pack out of the record, beside the running gateway; writes one new file and nothing else."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from edge_gateway.cli.export import period, site_zone
from edge_gateway.cli.main import OK, WARNINGS
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.cli.words import local
from edge_gateway.errors import GatewayError
from edge_gateway.record.photo import FOLDER

if TYPE_CHECKING:
    from edge_gateway.evidence.make import Made
    from edge_gateway.record.note import Key


@verb(
    "export",
    zh="导出证据包：一个 zip，内含台账分段（逐字节复制）、证明、检查点、当时生效的配置和便于阅读的表格，任何人可离线核验。只读；网关可同时运行。\n\n"
    "退出码：3 表示该时段未见证、部分记录无法读取，或台账不足以覆盖所要的时段。",
    examples=[
        "edge-gateway journal export --day 2026-03-05 --out 2026-03-05.zip",
        "edge-gateway journal export --from 2026-03-01 --to 2026-04-01 --point cold1-air --out march.zip",
        "edge-gateway journal export --violation tlf-007-17 --out violation-17.zip",
    ],
)
@option("--from", "from_", metavar="MOMENT", help="first moment: 2026-03-05, 2026-03-05T14:00 (local), or 24h ago", zh="起始时刻：2026-03-05、2026-03-05T14:00（当地时间），或 24h 之前")
@option("--to", metavar="MOMENT", help="the moment before which it ends", zh="截止时刻（不含）")
@option("--day", metavar="DATE", help="one local day instead of --from and --to", zh="当地的某一天，代替 --from 和 --to")
@option("--point", "--points", "points", multiple=True, help="tables of this point only; may be repeated (entries come whole)", zh="表格仅列此测点；可重复（台账记录始终完整）")
@option("--violation", metavar="ID", help="this violation and what it holds, from 30 minutes before to 30 minutes after", zh="此违规及其所含的后果，前后各 30 分钟")
@option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="write to this new file", zh="写入此新文件（不覆盖）")
@click.pass_obj
def export(ctx: Context, /, points: tuple[str, ...], violation: str | None, out: Path, **asked: Any) -> int:
    """Write an evidence pack: segments byte for byte, proofs, checkpoints, configurations in force, tables for people.

    Anyone can verify it offline: `journal verify FILE`, or the verify.html inside. Exit code 3: the period is not witnessed, not wholly here, or partly damaged.
    """
    from edge_gateway.evidence.make import Order
    from edge_gateway.journal.reading import Reading

    reading = Reading(ctx.state_dir)
    try:
        zone = ZoneInfo(site_zone(reading))
        low_us, high_us = period(asked["from_"], asked["to"], asked["day"], zone)
        if violation is not None:
            if any(asked.values()) or points:
                raise click.UsageError("a violation has its own time and point: give --violation alone")
            low_us, high_us, points = _around(ctx, reading, violation)
        order = Order(
            from_us=low_us, to_us=high_us, made_us=time.time_ns() // 1000, points=points or None, violation=violation,
            keys=_keys(ctx),
        )  # fmt: skip
        made = _write(ctx, reading, out, order)
    finally:
        reading.close()
    return _conclude(ctx, made, order.from_us, order.to_us, zone.key)


@verb(
    "prove",
    zh="为一条记录出具证明：PATH.tlog-proof（C2SP tlog-proof，含检查点）和 PATH.json（该记录的原始字节）。只读。\n\n"
    "核验：edge-gateway journal verify PATH.tlog-proof --key VKEY --witness HUBVKEY。",
    examples=["edge-gateway journal prove 0123456789abcdef 4711 --out reading"],
)
@click.argument("epoch")
@click.argument("seq", type=click.IntRange(0))
@option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="PATH", help="write PATH.tlog-proof and PATH.json", zh="写入 PATH.tlog-proof 和 PATH.json")
@click.pass_obj
def prove(ctx: Context, /, epoch: str, seq: int, out: Path) -> int:
    """Write the proof of one entry, by the epoch and number that every exported reading carries: its path in the tree, the checkpoint, the entry's bytes.

    Anyone verifies it offline: `journal verify PATH.tlog-proof --key VKEY --witness HUBVKEY`.
    """
    from edge_gateway.evidence.single import prove as proven
    from edge_gateway.journal.reading import Reading

    reading = Reading(ctx.state_dir)
    try:
        proof, entry = proven(reading, epoch, seq)
    finally:
        reading.close()
    for path, data in ((out.with_name(out.name + ".json"), entry), (out.with_name(out.name + ".tlog-proof"), proof)):
        try:
            with path.open("xb") as file:
                file.write(data)
        except OSError as error:
            raise GatewayError(f"cannot write {path}: {error.strerror}", hint="a file that exists is never overwritten") from None
    click.echo(ctx.say(f"a proof of {len(proof)} bytes", f"证明共 {len(proof)} 字节"), err=True)
    return OK


def _around(ctx: Context, reading: Any, violation: str) -> tuple[int, int, tuple[str, ...]]:
    """The time, with its margins, of a violation and of what was part of it, and their points; up to now while it is not over."""
    from edge_gateway.evidence.glance import MARGIN_US, family, span
    from edge_gateway.evidence.stretch import chunks

    found = family(ctx.state_dir, reading, chunks(reading.known_epochs(), reading.sealed()), violation)
    begin_us, end_us = span(found)
    points = dict.fromkeys(each.point for each in found if each.point)
    return begin_us - MARGIN_US, 2**62 if end_us is None else end_us + MARGIN_US, tuple(points)


def _write(ctx: Context, reading: Any, out: Path, order: Any) -> Made:
    """The file appears whole or not at all."""
    from edge_gateway.evidence.make import make

    if out.exists():
        raise click.UsageError(f"cannot write {out}: a file that exists is never overwritten")
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("xb") as file:
            made = make(ctx.state_dir, reading, file, order)
            file.flush()
            os.fsync(file.fileno())  # it may lie on a stick that is pulled out next
        unfinished.rename(out)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise GatewayError(f"cannot write {out}: {why}", hint="ask for a shorter period, or write to another place") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return made


def _keys(ctx: Context) -> tuple[Key, ...]:
    """The keys as this gateway's configuration names them; what cannot be had is left out: nothing in a pack is trusted for being in it."""
    from edge_gateway.config.load import load
    from edge_gateway.record.note import ED25519, Key, NoteError
    from edge_gateway.signer.client import Client

    found: list[Key] = []

    def lacking(error: Exception) -> None:
        click.echo(ctx.say(f"the pack names no keys, or not all: {error}", f"证据包未列出（全部）公钥：{error}"), err=True)

    try:
        config = load(ctx.config, ctx.state_dir, running=False).config
    except GatewayError as error:
        lacking(error)
        return ()
    try:
        if config.signer.socket:
            public = asyncio.run(Client(Path(config.signer.socket)).public())
            found.append(Key(f"{config.site.origin}/{config.site.id}", ED25519, public))
    except GatewayError as error:  # the signer is away: the hub's key is named all the same
        lacking(error)
    for vkey in filter(None, (getattr(sink, "vkey", "") for sink in config.sinks.values())):
        try:
            found.append(Key.parse(vkey if "+" in vkey else Path(vkey).read_text("utf-8")))
        except (NoteError, OSError, UnicodeDecodeError) as error:
            lacking(error)
    return tuple(found)


def _conclude(ctx: Context, made: Made, from_us: int, to_us: int, zone: str) -> int:
    say, claim = ctx.say, made.manifest.claim
    click.echo(say(f"{made.entries} entries, {made.size_bytes} bytes", f"{made.entries} 条记录，{made.size_bytes} 字节"), err=True)
    worries = [say(f"could not be read: {each}", f"无法读取：{each}") for each in made.damaged]
    worries += [say(f"{_file(each)} is not here", f"{_file(each)} 缺失") for each in made.missing]
    worries += [
        say(f"{number} {what} are in the entries, and not in the tables", f"{number} 行（{what}）仅在台账记录中，表格未列")
        for what, number in made.manifest.about.get("left_out", {}).items()
    ]
    if claim is None:
        worries.append(say("nothing of this period is vouched for: the pack claims none", "此时段没有可证明的内容：证据包不作时段声明"))
    else:
        span = f"{local(claim.from_us, zone)} – {local(claim.to_us, zone)}"
        click.echo(say(f"complete for {span}", f"完整时段：{span}"), err=True)
        if -(2**61) < from_us < claim.from_us or 2**61 > to_us > claim.to_us:
            worries.append(say("that is less than what was asked for", "少于所要求的时段"))
    if made.manifest.about["witnessed"] is None:
        worries.append(say("UNWITNESSED: nobody but this gateway vouches for it", "未见证：除本网关外无人证明"))
    for worry in worries:
        click.echo(worry, err=True)
    return WARNINGS if worries else OK


def _file(name: str) -> str:
    """What entries name: a photo, or a text by its hash."""
    return name if name.startswith(FOLDER) else f"texts/{name}"
