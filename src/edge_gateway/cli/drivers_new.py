"""``drivers new``: begins a profile and its cases from registers, a message, or what a scan found; never overwrites, asks no device."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.main import NO, NOT_PERMITTED, OK
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import GatewayError

if TYPE_CHECKING:
    from edge_gateway.profiles.skeleton import Captured

#: What no read, scan or message of ours is as large as.
_MOST_BYTES = 1_000_000
_HINT = "read some with `edge-gateway read --bus B --unit N --count 16 --json`, or give them as FC:REG:HEX, such as 3:16:F8DA999A"


@verb(
    "new",
    zh="由寄存器、消息或扫描结果起草一个设备档案和用例（带注释，从不覆盖）：写到配置文件旁的 drivers/<厂商>/<型号>.toml。\n\n"
    "--registers 为 功能码:寄存器:十六进制，可多次给出；--from 为 JSON 文件（- 为标准输入）：`read --json` 或 `inbox list --json` 的输出，"
    '或 {"payload": "…"}。每个通道先是原始值：含义由您按手册填写。',
    examples=[
        "edge-gateway drivers new acme/th200 --registers 3:16:F8DA999AC1A9",
        "edge-gateway read --bus line1 --unit 2 --count 4 --json > found.json",
        "edge-gateway drivers new acme/th200 --from found.json",
        "edge-gateway inbox list --json | edge-gateway drivers new acme/ph7 --from - --item 3",
        "edge-gateway drivers new acme/door --payload '{\"open\": true, \"battery\": 91}'",
    ],
)
@click.argument("profile", metavar="VENDOR/MODEL")
@option("--registers", multiple=True, metavar="FC:REG:HEX", help="registers as they came (may be repeated)", zh="收到的寄存器（可多次）")
@option("--payload", metavar="TEXT", help="a message as it came", zh="收到的消息")
@option("--from", "source", metavar="FILE", help="JSON: of `read` or `inbox list`; - is stdin", zh="JSON 文件；- 为标准输入")
@option("--item", type=int, help="which one of `inbox list --json`", zh="`inbox list --json` 中的哪一项")
@option("--folder", type=click.Path(path_type=Path), help="where profiles lie (default: drivers/ beside the configuration)", zh="档案目录")
@click.pass_obj
def command(ctx: Context, /, profile: str, registers: tuple[str, ...], folder: Path | None, **given: Any) -> int:
    """Begin a device profile and its cases (commented, never overwriting): drivers/<vendor>/<model>.toml beside the configuration.

    From registers (FC:REG:HEX), a message, or JSON: of `read --json`, of `inbox list --json`, or {"payload": "…"}.
    Every channel is raw at first: what it means is in the manual, and yours to write.
    """
    if sum(map(bool, (registers, given["payload"], given["source"]))) != 1:
        raise click.UsageError(ctx.say("give --registers, --payload or --from", "请给出 --registers、--payload 或 --from 之一"))
    _named(profile)
    try:
        texts = _drafted(profile, registers, given)
    except ValueError as error:
        raise GatewayError(f"no profile can be begun from that: {error}", hint=_HINT) from error
    return _written(ctx, (folder or ctx.config.parent / "drivers") / f"{profile}.toml", texts)


def _named(profile: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from edge_gateway.profiles.model import ProfileId

    try:
        TypeAdapter(ProfileId).validate_python(profile)
    except ValidationError as error:
        hint = "<vendor>/<model>, each 1-32 of a-z, 0-9 and '-', not first or last"
        raise GatewayError(f'"{profile}" is not permitted', hint=hint) from error


def _drafted(profile: str, registers: tuple[str, ...], given: Mapping[str, Any]) -> tuple[str, str]:
    from edge_gateway.profiles import skeleton

    if given["payload"]:
        return skeleton.of_message(profile, given["payload"])
    if registers:
        return skeleton.of_registers(profile, [_typed(each) for each in registers])
    found = _document(given["source"], given["item"])
    message = found.get("payload", found.get("sample"))
    if isinstance(message, str):
        return skeleton.of_message(profile, message)
    blocks = found.get("blocks", [found])
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise ValueError("'blocks' is no list of tables")
    return skeleton.of_registers(profile, [skeleton.captured(block) for block in blocks])


def _typed(text: str) -> Captured:
    from edge_gateway.profiles import skeleton

    function, _, rest = text.partition(":")
    register, _, data = rest.partition(":")
    try:
        start = int(register, 0)
    except ValueError as error:
        raise ValueError(f"'{text}' is not FC:REG:HEX") from error
    return skeleton.captured({"function": function, "register": start, "data": data})


def _document(source: str, item: int | None) -> Mapping[str, Any]:
    """What a read, a scan or the inbox said; of the inbox one ``item``."""
    try:
        raw = sys.stdin.buffer.read(_MOST_BYTES) if source == "-" else Path(source).read_bytes()[:_MOST_BYTES]
    except OSError as error:
        raise GatewayError(f"{source} cannot be read: {error.strerror}", hint="name a JSON file, or - for stdin") from error
    document = json.loads(raw)  # its errors are ValueErrors
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        items = [each for each in document["items"] if isinstance(each, dict) and item in (None, each.get("id"))]
        if len(items) != 1:
            raise ValueError(f"{len(items)} items fit: say which with --item")
        document = items[0]
    found = document.get("found", document) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _written(ctx: Context, file: Path, texts: tuple[str, str]) -> int:
    files = (file, file.with_suffix(".cases.toml"))
    if there := next((each for each in files if each.exists()), None):
        click.echo(ctx.say(f"{there} exists and is left as it is", f"{there} 已存在，未作改动"), err=True)
        return NO
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for each, text in zip(files, texts, strict=True):
            with each.open("x", encoding="utf-8") as opened:
                opened.write(text)
    except FileExistsError as error:
        click.echo(ctx.say(f"{error.filename} exists and is left as it is", f"{error.filename} 已存在，未作改动"), err=True)
        return NO
    except OSError as error:
        said = ctx.say(f"error  cannot write {file}: {error.strerror}", f"错误  无法写入 {file}：{error.strerror}")
        click.echo(said, err=True)
        return NOT_PERMITTED if isinstance(error, PermissionError) else NO
    _schemas(file.parent.parent)
    for each in files:
        click.echo(str(each))
    name = f"{file.parent.name}/{file.stem}"
    said = ctx.say(f"next: replace every TODO, then  edge-gateway drivers test {name}", f"下一步：填好每处 TODO，再运行  edge-gateway drivers test {name}")
    click.echo(said, err=True)
    return OK


def _schemas(folder: Path) -> None:
    """What the files' first line names, so that an editor checks them; what is there already stays."""
    from edge_gateway.cli.schema import schema

    for which in ("profile", "cases"):
        try:
            with (folder / f"{which}.schema.json").open("x", encoding="utf-8") as opened:
                json.dump(schema(which), opened, ensure_ascii=False, indent=1)
        except OSError:
            continue  # it is there, or an editor does without it: the loader checks the same
