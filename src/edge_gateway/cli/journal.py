"""``journal verify``: whether the record is whole, and whether it is the one that a checkpoint signed; reads the state folder only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge_gateway.cli.journal_recompute import recompute
from edge_gateway.cli.main import NO, OK, WARNINGS
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.errors import GatewayError
from edge_gateway.record.checkpoint import Checkpoint, opened, witnessed_s
from edge_gateway.record.note import ED25519, Key, Note, NoteError

#: The three outcomes, and their exit codes.
VERIFIED, BROKEN, UNDECIDED = "verified", "broken", "cannot-decide"
_EXIT = {VERIFIED: OK, BROKEN: NO, UNDECIDED: WARNINGS}


@noun("journal", zh="台账：核验、重算。", examples=["edge-gateway journal verify", "edge-gateway journal recompute"])
def command() -> None:
    """The record: verify it, derive its values again."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that was checked against keys from outside. ``witnessed_s``: seconds since 1970, None if not cosigned."""

    head: Checkpoint
    witnessed_s: int | None


@verb(
    "verify",
    zh="核验台账：逐条重算散列，核对每个分段的根与每个纪元的树；给出检查点和公钥时，核对它是否就是被签名的那份台账。离线、只读，可在网关运行时使用。\n\n"
    "公钥须来自台账之外（监管端页面、标签、文件）。退出码：0 已核验，1 已损坏或不一致，3 无法判定（例如没有给出检查点）。",
    examples=[
        "edge-gateway journal verify",
        "edge-gateway journal verify /media/usb/state --against newest.checkpoint --key VKEY",
    ],
)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@option("--against", type=click.Path(path_type=Path, dir_okay=False), help="a signed checkpoint, from elsewhere (else the record's own newest)", zh="来自别处的已签名检查点（默认取台账自身最新的）")
@option("--key", "vkey", help="the gateway's verifier key (or a file with it), from elsewhere", zh="网关公钥（或含公钥的文件），来自别处")
@option("--witness", "witness", help="the hub's verifier key (or a file with it), from elsewhere", zh="监管端公钥（或含公钥的文件），来自别处")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def verify(ctx: Context, /, folder: Path | None, against: Path | None, as_json: bool, **keys: str | None) -> int:
    """Recompute every hash of the record: entries, segments' roots, epochs' trees; and whether it is what a checkpoint signed.

    Offline and read-only, also while the gateway runs. Keys come from outside the record: the hub's page, a sticker, a file.
    Exit codes: 0 verified, 1 broken, 3 cannot decide (no checkpoint was given, say).
    """
    from edge_gateway.journal.verify import check

    if keys["vkey"] is None and (against is not None or keys["witness"] is not None):
        raise click.UsageError("a checkpoint counts by a key from elsewhere: name it with --key")
    signed = None
    if keys["vkey"] is not None:
        where, data = _checkpoint(against, folder or ctx.state_dir, keys["witness"])
        signed = _signed(where, data, keys["vkey"], keys["witness"]) if data else None
    findings = check(folder or ctx.state_dir, signed.head if signed else None)
    answer = _judged(ctx, findings, signed)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/journal-verify/1"} | answer, ensure_ascii=False))
    else:
        for line in _lines(ctx, answer):
            click.echo(line)
    return _EXIT[answer["outcome"]]


def _checkpoint(file: Path | None, folder: Path, witness: str | None) -> tuple[str, bytes]:
    """Where the checkpoint is from, and its bytes: the file's, else the record's own newest; b"" if it has none.

    With a ``witness`` its newest that carries a line of that witness, if there is one: what was signed since is not witnessed
    yet. Raises GatewayError.
    """
    if file is None:
        from edge_gateway.journal.reading import Reading

        reading = Reading(folder)
        try:
            epochs = [info.epoch for info in reading.known_epochs()]
            kept = sorted(reading.checkpoints(), key=lambda each: (epochs.index(each[0]), each[1]))
        finally:
            reading.close()
        seen = [note for _, _, note in kept if witness and _names(note, witness)]
        return f"{folder}", seen[-1] if seen else kept[-1][2] if kept else b""
    try:
        return f"{file}", file.read_bytes()
    except OSError as error:
        raise GatewayError(f"{file} cannot be read: {error.strerror}") from None


def _names(note: bytes, witness: str) -> bool:
    """Whether a line of the note says that it is the witness's; whether it is, ``_signed`` tells."""
    try:
        return bool(Note.parse(note).by(Key.parse(_text(witness))))
    except NoteError:
        return False


def _signed(file: str, data: bytes, vkey: str, witness: str | None) -> Signed:
    """The checkpoint, if its signatures hold. Raises GatewayError."""
    try:
        note = Note.parse(data)
        given = Key.parse(_text(vkey))
        origin = Checkpoint.parse(note.text).origin
        if origin != given.name and not origin.startswith(f"{given.name}/"):
            raise NoteError(f"it is of '{origin}', the key is of '{given.name}'")
        # One key serves all epochs of a gateway: each epoch is a log of its own name.
        head, note = opened(data, Key(origin, ED25519, given.public))
        seen_s = witnessed_s(note, Key.parse(_text(witness))) if witness else None
    except NoteError as error:
        raise GatewayError(f"{file} is no checkpoint that counts: {error}", hint="take it, and the key, from the hub") from None
    if witness and seen_s is None:
        raise GatewayError(f"{file} carries no valid cosignature of that witness", hint="take the checkpoint from the hub")
    return Signed(head, seen_s)


def _text(key: str) -> str:
    """A key as it stands, or out of a file."""
    try:
        return Path(key).read_text(encoding="utf-8") if "+" not in key or Path(key).is_file() else key
    except OSError as error:
        raise NoteError(f"{key}: {error.strerror}") from None


def _judged(ctx: Context, findings: Any, signed: Signed | None) -> dict[str, Any]:
    """The outcome with its reason, and what was seen."""
    epochs = [{name: getattr(each, name) for name in ("epoch", "size", "root", "checked", "kept")} for each in findings.epochs]
    answer: dict[str, Any] = {"outcome": UNDECIDED, "why": "", "epochs": epochs}
    if broken := findings.broken:
        where = {"epoch": broken.epoch, "first": broken.first, "last": broken.last}
        return answer | {"outcome": BROKEN, "why": broken.why, "at": where}
    if signed is None:
        why = ctx.say(
            "it is whole, but no checkpoint and key decide: whoever can write the folder could have written all of it",
            "台账完整，但没有可据以判定的检查点和公钥：能写入此目录的人也可能重写全部内容",
        )
        return answer | {"why": why}
    return answer | _against(ctx, findings, signed)


def _against(ctx: Context, findings: Any, signed: Signed) -> dict[str, Any]:
    head, epoch = signed.head, signed.head.origin.rpartition("/")[2]
    told = {"checkpoint": {"origin": head.origin, "size": head.size, "witnessed_s": signed.witnessed_s}}
    mine = next((each for each in findings.epochs if each.epoch == epoch), None)
    if mine is None:
        why = ctx.say(f"this record has no epoch {epoch}", f"此台账没有纪元 {epoch}")
        return told | {"outcome": BROKEN, "why": why, "at": {"epoch": epoch, "first": 0, "last": head.size - 1}}
    if mine.size < head.size:
        why = ctx.say(
            f"{head.size} entries were signed, {mine.size} are here: the record was cut back",
            f"曾签名 {head.size} 条，此处只有 {mine.size} 条：台账被截短",
        )
        return told | {"outcome": BROKEN, "why": why, "at": {"epoch": epoch, "first": mine.size, "last": head.size - 1}}
    root = findings.roots.get(epoch)
    if root is None:
        why = ctx.say("the checkpoint ends within a segment that is gone", "检查点落在已删除的分段之内")
        return told | {"outcome": UNDECIDED, "why": why}
    if root != head.root.hex():
        why = ctx.say("the entries here are not those that were signed", "此处的记录不是被签名的那些记录")
        return told | {"outcome": BROKEN, "why": why, "at": {"epoch": epoch, "first": 0, "last": head.size - 1}}
    return told | {"outcome": VERIFIED}


def _lines(ctx: Context, answer: dict[str, Any]) -> Iterator[str]:
    for each in answer["epochs"]:
        kept = ctx.say(f", {each['kept']} known by their roots only", f"，{each['kept']} 条只存根") if each["kept"] else ""
        yield ctx.say(
            f"epoch {each['epoch']}  {each['size']} entries, {each['checked']} hashes recomputed{kept}  root {each['root'][:16]}…",
            f"纪元 {each['epoch']}  共 {each['size']} 条，重算散列 {each['checked']} 条{kept}  根 {each['root'][:16]}…",
        )
    if answer["outcome"] == VERIFIED:
        yield from _verified(ctx, answer)
    elif answer["outcome"] == BROKEN:
        at = answer["at"]
        place = f"{at['epoch']}/{at['first']}" + (f"–{at['last']}" if at["last"] > at["first"] else "")
        yield ctx.say(f"BROKEN at {place}: {answer['why']}", f"已损坏，位于 {place}：{answer['why']}")
    else:
        yield ctx.say(f"CANNOT DECIDE: {answer['why']}", f"无法判定：{answer['why']}")


def _verified(ctx: Context, answer: dict[str, Any]) -> Iterator[str]:
    from datetime import UTC, datetime

    head = answer["checkpoint"]
    seen = head["witnessed_s"]
    when = datetime.fromtimestamp(seen, UTC).strftime("%Y-%m-%d %H:%M:%S +00:00") if seen is not None else ""
    witnessed = ctx.say(f", witnessed at {when}", f"，见证于 {when}") if when else ctx.say(", not witnessed", "，未见证")
    last = f"{head['origin'].rpartition('/')[2]}/{head['size'] - 1}"
    yield ctx.say(f"VERIFIED: complete through entry {last}{witnessed}", f"已核验：完整至 {last}{witnessed}")
    yield ctx.say(
        "What this does not prove: that a probe hung in the right place, or that its calibration was right.",
        "这不能证明：探头安装位置正确，或其校准无误。",
    )


command.add_command(verify)
command.add_command(recompute)
