"""``init``: writes the commented sample, or a site with nothing in it yet; never overwrites anything."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

from edge_gateway.cli.main import NO, NOT_PERMITTED, OK
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import GatewayError


@verb(
    "init",
    zh="写出带注释的 gateway.toml（写到 PATH，或 run 默认读取的位置）。已有文件保持不变（退出码 1）。",
    examples=[
        "edge-gateway init                    # where `run` looks for it",
        "edge-gateway init ./gateway.toml",
        "edge-gateway init && edge-gateway check",
        "edge-gateway init --empty my-site    # no devices yet: `scan` finds them",
    ],
)
@option("--empty", metavar="SITE-ID", help="a site with nothing in it yet", zh="只含站点、尚无设备的配置")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def command(ctx: Context, path: Path | None, empty: str | None) -> int:
    """Write a commented gateway.toml (to PATH, or where `run` looks for it). A file that exists is left alone (exit 1)."""
    target = path or ctx.config
    if target.is_dir():
        target /= "gateway.toml"
    sample = _empty(empty) if empty else files("edge_gateway").joinpath("gateway.toml").read_text(encoding="utf-8")
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
    if empty:
        said = ctx.say(f"next: edge-gateway scan{again}", f"下一步：edge-gateway scan{again}")
    else:
        said = ctx.say(f"next: edit it, then  edge-gateway check{again}", f"下一步：修改后运行  edge-gateway check{again}")
    click.echo(said, err=True)
    return OK


def _empty(site: str) -> str:
    """A site without buses, devices and points."""
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", site):
        raise GatewayError(f"'{site}' is no id", hint="use a-z, 0-9 and '-', 1 to 32 characters")
    return f"""# A site with nothing in it yet. `edge-gateway scan` looks for devices; `edge-gateway inbox add` takes them over into
# the state folder's gateway.d/. `edge-gateway init` without --empty writes a sample with everything in it.

[site]
id = "{site}"             # permanent: names you everywhere
origin = "example.org/{site}"  # who runs it, like a domain: set it once, before the first run
name_zh = "{site}"
name_en = "{site}"
"""
