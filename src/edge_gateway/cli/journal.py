"""``journal verify``: whether a record is whole, and whether it is the one that a checkpoint signed; reads a state folder or an evidence pack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_gateway.cli.evidence import export, prove
from edge_gateway.cli.journal_gaps import availability, gaps
from edge_gateway.cli.journal_keep import release, shorten
from edge_gateway.cli.journal_recompute import recompute
from edge_gateway.cli.judging import NotJudged, judging
from edge_gateway.cli.main import NO, OK, USAGE, WARNINGS
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.errors import GatewayError
from edge_gateway.record.entry import MAX_ENTRY_BYTES

if TYPE_CHECKING:
    from edge_gateway.evidence.judge import Asked, Verdict

#: Outcome -> exit code.
_EXIT = {"verified": OK, "broken": NO, "cannot-decide": WARNINGS}
#: A key or a checkpoint is not larger (bytes).
_MOST_BYTES = 64 * 1024


@noun("journal", zh="台账：核验、重算、核算缺口与可用率、导出证据包、保存期限。", examples=["edge-gateway journal verify", "edge-gateway journal export --from 24h --out day.zip"])
def command() -> None:
    """The record: verify it, derive its values again, account for its slots, take evidence out of it, say how long it stays."""


@verb(
    "verify",
    zh="核验台账目录或证据包：逐条重算散列，核对每个分段的根与每个纪元的树；给出检查点和公钥时，核对它是否就是被签名的那份台账。离线、只读，可在网关运行时使用。\n\n"
    "公钥须来自别处（监管端页面、标签、文件）；对证据包也可给出公钥指纹。退出码：0 已核验，1 已损坏或不一致，2 没有这样的台账或公钥，3 无法判定（例如公钥未知）。",
    examples=[
        "edge-gateway journal verify",
        "edge-gateway journal verify evidence.zip --key VKEY --witness HUBVKEY",
        "edge-gateway journal verify /media/usb/state --against hub.note --key VKEY --witness HUBVKEY",
    ],
)
@click.argument("place", required=False, metavar="[DIR|FILE]", type=click.Path(path_type=Path))
@option("--against", type=click.Path(path_type=Path, dir_okay=False), help="a signed checkpoint, from elsewhere (the hub's newest)", zh="来自别处的已签名检查点（监管端最新的）")
@option("--key", "key", help="the gateway's verifier key, from elsewhere: as text, a file, or (for a pack) its fingerprint", zh="来自别处的网关公钥：文本、文件，或（证据包）公钥指纹")
@option("--witness", "witness", help="the hub's verifier key, from elsewhere, in the same ways", zh="来自别处的监管端公钥，给法相同")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def verify(ctx: Context, /, place: Path | None, against: Path | None, key: str | None, witness: str | None, as_json: bool) -> int:
    """Recompute every hash of a state folder or an evidence pack, and tell whether it is what a checkpoint signed.

    Offline and read-only, also while the gateway runs. Keys come from outside: the hub's page, a sticker, a file; for a pack
    a fingerprint will do. Exit codes: 0 verified, 1 broken, 2 there is no such record or key, 3 cannot decide (a key is unknown, say).
    """
    from edge_gateway.cli.journal_words import answer, lines
    from edge_gateway.evidence.judge import Asked
    from edge_gateway.record.note import NoteError

    if key is None and (against is not None or witness is not None):
        raise click.UsageError("a checkpoint counts by a key from elsewhere: name it with --key")
    try:
        with judging():
            verdict = _verdict(place or ctx.state_dir, Asked(_text(key), _text(witness), _bytes(against) if against else None))
    except NoteError as error:
        wrong = GatewayError(str(error), hint="copy the whole line that `signer key` or `regulator-hub key` prints")
        raise NotJudged(wrong, USAGE) from None
    zone = _zone(verdict)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/journal-verify/1"} | answer(ctx, verdict, zone), ensure_ascii=False))
    else:
        for line in lines(ctx, verdict, zone):
            click.echo(line)
    return _EXIT[verdict.outcome]


def _verdict(place: Path, asked: Asked) -> Verdict:
    from edge_gateway.evidence import check, folder, single

    if not place.is_file():
        return folder.check(place, asked)
    try:
        with place.open("rb") as file:
            if file.read(len(single.HEAD)) != single.HEAD:
                return check.check(file, asked)
            file.seek(0)
            return single.check(file.read(single.MAX_PROOF_BYTES), _bytes(place.with_suffix(".json"), MAX_ENTRY_BYTES + 1), asked)
    except OSError as error:
        raise _unread(place, error) from None


def _zone(verdict: Verdict) -> str:
    """A pack names its site's time zone: believed for showing times, which carry their offset."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    site = verdict.manifest.about.get("site") if verdict.manifest else None
    name = site.get("timezone") if isinstance(site, dict) else None
    try:
        return ZoneInfo(name).key if isinstance(name, str) else "UTC"
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"


def _text(key: str | None) -> str | None:
    """A key as it stands, or out of a file."""
    if key is None or "+" in key or not Path(key).is_file():
        return key
    return _bytes(Path(key)).decode("utf-8", "replace").strip()


def _bytes(file: Path, most: int = _MOST_BYTES) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(most)
    except OSError as error:
        raise _unread(file, error) from None


def _unread(file: Path, error: OSError) -> NotJudged:
    return NotJudged(GatewayError(f"{file} cannot be read: {error.strerror}"), USAGE)


command.add_command(verify)
command.add_command(recompute)
command.add_command(gaps)
command.add_command(availability)
command.add_command(export)
command.add_command(prove)
command.add_command(shorten)
command.add_command(release)
