"""``replace``: new hardware, the same gateway: from a backup, or from the hub's newest checkpoint alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from edge_gateway.cli.main import OK
from edge_gateway.cli.restore import REASON, lay, show
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import GatewayError


@verb(
    "replace",
    zh="更换硬件，网关不变：有备份时用备份；没有备份时用监管端最新的检查点（--checkpoint，以配置中监管端公钥核验）。\n\n"
    "台账在新纪元中继续。签名密钥不随之转移：新密钥由人员在监管端登记，新纪元由人员确认。",
    examples=[
        'edge-gateway replace /media/usb/tlf-007.backup --reason "board burnt, new Pi 5"',
        'edge-gateway replace --checkpoint hub.note --reason "board and backups lost in the fire"',
    ],
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@option("--checkpoint", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="the hub's newest of this gateway, where there is no backup", zh="监管端最新的检查点（没有备份时）")
@option("--reason", required=True, **REASON)
@option("--keep-config", is_flag=True, help="the configuration that is there stays", zh="保留现有配置")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, /, file: Path | None, checkpoint: Path | None, reason: str, keep_config: bool, as_json: bool) -> int:
    """Make this machine the gateway that another one was: from a backup, or from the hub's newest checkpoint, checked by the hub's key in the configuration.

    The record goes on in a new epoch. The signer's key does not come along: a person registers the new one at the hub, and accepts the epoch.
    """
    if (file is None) == (checkpoint is None):
        raise GatewayError("a backup or a checkpoint is needed, not both", hint="see `edge-gateway replace --help`")
    if file is not None:
        done = lay(ctx, file, reason, "replacement", keep_config=keep_config)
    else:
        assert checkpoint is not None
        done = _after(ctx, checkpoint, reason)
    show(ctx, done, as_json=as_json, new_key=True)
    return OK


def _after(ctx: Context, checkpoint: Path, reason: str) -> dict[str, Any]:
    """Begin after a checkpoint that the hub cosigned; what was done. Raises GatewayError."""
    from edge_gateway.clock import SystemClock
    from edge_gateway.config.load import load
    from edge_gateway.journal.backup import Placing, begin_after
    from edge_gateway.links.who import who

    if not reason.strip():
        raise GatewayError("a reason is missing", hint='add --reason "what happened"')
    config = load(ctx.config, ctx.state_dir, running=False).config
    keys = [vkey for sink in config.sinks.values() if (vkey := getattr(sink, "vkey", ""))]
    if not keys:
        hint = "set vkey of the hub's sink: the line that `regulator-hub key` prints, brought by a person"
        raise GatewayError("cannot decide: unknown key of the hub", hint=hint)
    note = checkpoint.read_bytes()
    known = _checked(note, keys[0], f"{config.site.origin}/{config.site.id}")
    with Placing(ctx.state_dir) as placing:
        epoch = begin_after(placing.folder, (*known, note), SystemClock(declared=True))
        said = {
            "by": who(), "why": reason[:300], "reason": "replacement", "at_us": time.time_ns() // 1000,
            "old": {"epoch": known[0], "size": known[1]}, "new": epoch,
        }  # fmt: skip
        placing.done(said)
    return said | {"gateway": config.site.id}


def _checked(note: bytes, vkey: str, log: str) -> tuple[str, int, str]:
    """Epoch, size and root (hex) of a checkpoint of this gateway that the hub cosigned. Raises GatewayError."""
    from edge_gateway.record.checkpoint import Checkpoint, witnessed_s
    from edge_gateway.record.note import Note, NoteError
    from edge_gateway.sinks.hub import witness_key

    try:
        witness = witness_key(vkey if "+" in vkey else Path(vkey).read_text("utf-8").strip())
        opened = Note.parse(note)
        found = Checkpoint.parse(opened.text)
        right = witnessed_s(opened, witness) is not None
    except (NoteError, ValueError) as error:
        raise GatewayError(f"this is no checkpoint: {error}", hint="take it from the hub: /api/v1/gateways/ID/checkpoint") from None
    origin, _, epoch = found.origin.rpartition("/")
    if origin != log or not right:
        why = f"it is of '{found.origin}'" if origin != log else "the hub's key did not cosign it"
        raise GatewayError(f"this is no checkpoint of '{log}' by the hub: {why}", hint="check site.id, site.origin and the hub's vkey")
    return epoch, found.size, found.root.hex()
