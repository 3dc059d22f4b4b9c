"""``init``: writes the commented sample; never overwrites anything."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from edge_gateway.cli.main import NO, OK, Context


@click.command("init")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def command(ctx: Context, path: Path | None) -> int:
    """Write a commented gateway.toml (to PATH, or where `run` looks for it). An existing file is left alone.

    \b
    edge-gateway init
    edge-gateway init ./gateway.toml
    """
    target = path or ctx.config
    if target.is_dir():
        target /= "gateway.toml"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(files("edge_gateway").joinpath("gateway.toml").read_text(encoding="utf-8"))
    except FileExistsError:
        click.echo(ctx.say(f"{target} exists and is left as it is", f"{target} 已存在，未作改动"), err=True)
        return NO
    except OSError as error:
        click.echo(
            ctx.say(f"error: cannot write {target}: {error.strerror}", f"错误：无法写入 {target}：{error.strerror}"),
            err=True,
        )
        return 6 if isinstance(error, PermissionError) else NO
    click.echo(str(target))
    click.echo(
        ctx.say(
            f"next: edit it, then  edge-gateway --config {target} check",
            f"下一步：修改后运行  edge-gateway --config {target} check",
        ),
        err=True,
    )
    return OK
