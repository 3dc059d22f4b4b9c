"""``backup``: the record and the configuration as one file, taken beside the running gateway."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from edge_gateway import __version__
from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import Context, option, verb


@verb(
    "backup",
    zh="把台账与配置备份成一个文件，网关照常运行。不含密码、令牌和签名密钥：请另行保管。\n\n"
    "备份之后的读数不在其中；监管端已收到的仍在监管端。",
    examples=["edge-gateway backup /media/usb/tlf-007.backup", "edge-gateway backup /media/usb/tlf-007.backup --json"],
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, file: Path, as_json: bool) -> int:
    """Copy record and configuration into FILE while the gateway runs. Passwords, tokens and the signer's key are not in it: keep them apart.

    What is read after the backup is not in it; what the hub has received stays at the hub.
    """
    from edge_gateway.config.load import load
    from edge_gateway.journal.backup import take
    from edge_gateway.links.who import who

    site = load(ctx.config, ctx.state_dir, running=False).config.site
    made_us = int(datetime.now(UTC).timestamp() * 1e6)
    about = {"gateway": site.id, "origin": site.origin, "software": __version__, "made_us": made_us, "by": who()}
    manifest = take(ctx.state_dir, ctx.config, file, about)
    size_bytes, members = file.stat().st_size, len(manifest["members"])
    if as_json:
        told = {key: manifest[key] for key in ("gateway", "origin", "made_us", "epoch", "size")}
        click.echo(json.dumps({"schema": "edge-gateway/backup/1", "file": str(file), "bytes": size_bytes, "files": members, **told}))
        return OK
    click.echo(f"{file}  {size_bytes / 1e6:.1f} MB  {manifest['epoch']}/{manifest['size']}")
    said = ctx.say(
        "without passwords, tokens and the signer's key: keep those apart. Try it out: docs/how-to/back-up-and-replace.md",
        "不含密码、令牌和签名密钥，请另行保管。请演练恢复：docs/how-to/back-up-and-replace.zh-CN.md",
    )
    click.echo(said, err=True)
    return OK
