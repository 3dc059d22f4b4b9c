"""``rules sign``: makes the signed note beside a rule pack, with a key that this verb may make; checks nothing of a site."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_gateway.cli.main import OK
from edge_gateway.cli.rules_test import chosen, trial
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@verb(
    "sign",
    zh="给规则包签名：先用自带用例检验，再在其旁写出 PACK.toml.sig。私钥只留在签名者手中；打印的公钥填入各站点 [rules] keys。\n\n"
    "密钥文件须仅本人可读；--new 新建一个。",
    examples=["edge-gateway rules sign cold-chain --key rules.key --name example.org/rules --new", "edge-gateway rules sign house --key rules.key --name example.org/rules"],
)
@click.argument("pack")
@option("--key", "key_file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="the private key's file, readable by its owner only", zh="私钥文件，仅本人可读")
@option("--name", required=True, metavar="NAME", help="who signs, as it stands in the key: example.org/rules", zh="签名者名称，写入公钥：example.org/rules")
@option("--new", is_flag=True, help="make the key; never overwrites", zh="新建密钥；从不覆盖")
@click.pass_obj
def command(ctx: Context, pack: str, key_file: Path, name: str, new: bool) -> int:
    """Sign a rule pack: it must pass its cases, then PACK.toml.sig is written beside it.

    The private key stays with the signer; the public key that is printed goes into [rules] keys of the sites.
    """
    from edge_gateway.record.note import ED25519, Key, NoteError, Signature, note_bytes
    from edge_gateway.rules.load import read_pack
    from edge_gateway.rules.sealed import seal_text

    file = chosen(ctx, (pack,))[pack]
    tried = trial(pack, file)
    if tried.wrong:
        raise GatewayError(f"pack '{pack}' does not do what its cases say", hint=f"`edge-gateway rules test {pack}` says where")
    loaded, _ = read_pack(file)
    if loaded is None:
        raise GatewayError(f"pack '{pack}' cannot be read")
    try:
        Key(name, ED25519, bytes(range(32)))  # its name, before a key file is made
        private = _key(key_file, new=new)
        key = Key(name, ED25519, private.public_key().public_bytes_raw())
    except NoteError as error:
        raise GatewayError(str(error)) from error
    text = seal_text(loaded.pack.id, loaded.pack.version, loaded.text, loaded.starts)
    note = note_bytes(text, [Signature(key.name, key.id, private.sign(text.encode()))])
    try:
        loaded.seal.write_bytes(note)
    except OSError as error:
        raise GatewayError(f"{loaded.seal} cannot be written: {error.strerror}", hint="copy the pack into a folder of your own first") from error
    click.echo(ctx.say(f"signed: {loaded.seal}", f"已签名：{loaded.seal}"), err=True)
    click.echo(str(key))
    return OK


def _key(file: Path, *, new: bool) -> Ed25519PrivateKey:
    """The private key in a file of 64 hex digits. Raises ConfigError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        if new:
            made = Ed25519PrivateKey.generate()
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(made.private_bytes_raw().hex() + "\n")
            return made
        if file.stat().st_mode & 0o077:
            raise ConfigError("others may read this key", file=str(file), hint="a key that others saw is none: make another")
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(file.read_text("ascii").strip()))
    except ValueError as error:
        raise ConfigError("this is no private key: 64 hex digits", file=str(file)) from error
    except OSError as error:
        hint = "make one with --new" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"the key cannot be used: {error.strerror}", file=str(file), hint=hint) from error
