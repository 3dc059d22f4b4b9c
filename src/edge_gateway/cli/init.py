"""``init``: writes the commented sample; never overwrites anything."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from edge_gateway.cli.main import NO, NOT_PERMITTED, OK
from edge_gateway.cli.verbs import Context, verb


@verb(
    "init",
    zh="写出带注释的 gateway.toml（写到 PATH，或 run 默认读取的位置）。已有文件保持不变（退出码 1）。",
    examples=[
        "edge-gateway init                    # where `run` looks for it",
        "edge-gateway init ./gateway.toml",
        "edge-gateway init && edge-gateway check",
    ],
)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def command(ctx: Context, path: Path | None) -> int:
    """Write a commented gateway.toml (to PATH, or where `run` looks for it). A file that exists is left alone (exit 1)."""
    target = path or ctx.config
    if target.is_dir():
        target /= "gateway.toml"
    sample = files("edge_gateway").joinpath("gateway.toml").read_text(encoding="utf-8")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(sample)
    except FileExistsError:
        said = ctx.say(f"{target} exists and is left as it is", f"{target} 已存在，未作改动")
        click.echo(said, err=True)
        return NO
    except OSError as error:
        said = ctx.say(f"error  cannot write {target}: {error.strerror}", f"错误  无法写入 {target}：{error.strerror}")
        click.echo(said, err=True)
        return NOT_PERMITTED if isinstance(error, PermissionError) else NO
    click.echo(str(target))
    again = "" if path is None and "config" not in ctx.asked else f" --config {target}"
    said = ctx.say(f"next: edit it, then  edge-gateway check{again}", f"下一步：修改后运行  edge-gateway check{again}")
    click.echo(said, err=True)
    return OK
