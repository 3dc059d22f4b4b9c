"""``photo add|save``, and the option ``--photo`` of other verbs: brings pictures to the gateway as they are; names no entry."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.record.photo import MAX_PHOTO_BYTES, PhotoRefused

_Function = TypeVar("_Function", bound=Callable[..., Any])


@noun(
    "photo",
    zh="把照片交给网关，或取回一张。照片原样保存（含 EXIF），以其 SHA-256 命名，落盘后才会被条目引用。",
    examples=["edge-gateway photo add seal.jpg", "edge-gateway photo save 3f1c…(64 hex digits) seal.jpg"],
)
def command() -> None:
    """Bring a photo to the gateway, or take one out. It is kept as it is (EXIF too), named by its SHA-256."""


@verb(
    "add",
    zh="送交照片（JPEG、PNG、WebP、HEIC，最大 8 MiB）并显示其 SHA-256；在网关重启前须由条目引用，否则不再保留。",
    examples=["edge-gateway photo add seal.jpg", "edge-gateway photo add --json seal.jpg"],
)
@click.argument("file", type=click.Path(path_type=Path))
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def add(ctx: Context, file: Path, as_json: bool) -> int:
    """Bring a photo (JPEG, PNG, WebP, HEIC; at most 8 MiB); prints its SHA-256. An entry must name it before the gateway restarts."""
    photo = _sent(Client(ctx.socket), file)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/photo/1", **photo}))
    else:
        click.echo(f"{photo['sha256']}  {photo['type']}  {photo['bytes']}")
    return OK


@verb("save", zh="把照片写入文件；从不覆盖。", examples=["edge-gateway photo save 3f1c…(64 hex digits) seal.jpg"])
@click.argument("sha256")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def save(ctx: Context, sha256: str, file: Path) -> int:
    """Write a photo into a file; never overwrites."""
    data = Client(ctx.socket).get_file(f"/v1/photos/{sha256}" if sha256.isalnum() else "/v1/photos/none")
    try:
        with file.open("xb") as out:
            out.write(data)
    except OSError as error:
        raise PhotoRefused(f"{file} cannot be written: {error.strerror}", hint="name a new file") from None
    click.echo(ctx.say(f"{len(data)} bytes in {file}", f"{len(data)} 字节写入 {file}"), err=True)
    return OK


def photo_option(function: _Function) -> _Function:
    """``--photo FILE``, several times if need be; the function's ``photos`` are paths for ``sent``."""
    words = {"help": "a photo for the record; may be given several times", "zh": "写入台账的照片；可多次给出"}
    kind = click.Path(path_type=Path)
    done: _Function = option("--photo", "photos", multiple=True, type=kind, metavar="FILE", **words)(function)
    return done


def sent(client: Client, files: Sequence[Path]) -> list[str]:
    """Bring these photos to the gateway; their SHA-256, for the step that names them. Raises PhotoRefused, Refused."""
    return [str(_sent(client, file)["sha256"]) for file in files]


def _sent(client: Client, file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as data:
            size = file.stat().st_size
            if size > MAX_PHOTO_BYTES or not size:
                why = f"{file} has {size} bytes: a photo has 1 to {MAX_PHOTO_BYTES}"
                raise PhotoRefused(why, hint="take it with a lower resolution, or save it smaller")
            return client.put_file("/v1/photos", data)
    except OSError as error:
        raise PhotoRefused(f"{file} cannot be read: {error.strerror}", hint="name a file that you may read") from None


for _verb in (add, save):
    command.add_command(_verb)
