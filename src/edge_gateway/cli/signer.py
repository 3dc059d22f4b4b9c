"""``signer run|key``: the process that holds the key, and the key that others verify by."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.errors import SignerError


@noun("signer", zh="签名进程：独立用户、独立密钥。", examples=["edge-gateway signer key"])
def command() -> None:
    """The process that signs the record: a user and a key of its own."""


@verb(
    "run",
    zh="运行签名进程，直到 SIGTERM。密钥在首次运行时生成，只有此用户可读。\n\n只对延续上一次签名的台账签名；回退、分叉一律拒绝。",
    examples=["edge-gateway signer run --folder ./signer --listen ./sign.sock"],
)
@option("--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="key and ledger (0700)", zh="密钥与签名记录（0700）")
@option("--listen", type=click.Path(path_type=Path, dir_okay=False), required=True, help="the Unix socket", zh="Unix 套接字")
@click.pass_obj
def run(ctx: Context, /, folder: Path, listen: Path) -> int:
    """Run the signing process until SIGTERM. The key is made at the first run; nobody but this user can read it.

    It signs only what extends the record that it signed last: a roll-back or a fork is refused.
    """
    from edge_gateway.links.logs import set_up_logging
    from edge_gateway.signer.service import Service, serve

    set_up_logging("INFO")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        service = Service(folder)
        said = ctx.say(f"signing at {listen}, key {service.public.hex()[:16]}…", f"在 {listen} 签名，公钥 {service.public.hex()[:16]}…")
        asyncio.run(serve(service, listen, ready=lambda: click.echo(said)))
    except OSError as error:
        raise SignerError(f"{error.filename or folder}: {error.strerror or error}", hint="check --folder and --listen") from error
    return OK


@verb(
    "key",
    zh="显示网关的公钥：交给监管端和核验者。来自台账之外的公钥才算数，请经其他途径核对。",
    examples=["edge-gateway signer key", "edge-gateway signer key --listen /run/edge-gateway-signer/sign.sock"],
)
@option("--listen", type=click.Path(path_type=Path, dir_okay=False), help="the signer's socket (the configuration's by default)", zh="签名进程的套接字（默认取配置）")
@click.pass_obj
def key(ctx: Context, /, listen: Path | None) -> int:
    """Print the gateway's verifier key, for the hub and for whoever verifies. It counts when it reaches them another way than the record."""
    from edge_gateway.config.load import load
    from edge_gateway.record.note import ED25519, Key
    from edge_gateway.signer.client import Client

    config = load(ctx.config, ctx.state_dir, running=False).config
    socket = listen or Path(config.signer.socket)
    if not (listen or config.signer.socket):
        raise SignerError("no signer is configured", hint="set [signer] socket, or name one with --listen")
    public = asyncio.run(Client(socket).public())
    own = Key(f"{config.site.origin}/{config.site.id}", ED25519, public)
    click.echo(str(own))
    click.echo(ctx.say(f"fingerprint  {own.fingerprint}", f"指纹  {own.fingerprint}"), err=True)
    return OK


command.add_command(run)
command.add_command(key)
