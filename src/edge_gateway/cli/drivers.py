"""``drivers list|show|test|new``: the device profiles that are there, one of them as a person reads it; asks no device."""

from __future__ import annotations

import json
from typing import Any

import click

from edge_gateway.cli import drivers_new, drivers_show, drivers_test
from edge_gateway.cli.drivers_show import KNOWN, columns, name_of, refusal
from edge_gateway.cli.drivers_test import chosen
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.profiles.load import Loaded, read
from edge_gateway.profiles.model import ModbusProfile, Profile


@noun(
    "drivers",
    zh="设备档案：列出、查看、检验，或起草新的一个。",
    examples=[
        "edge-gateway drivers list",
        "edge-gateway drivers show generic/xy-md02",
        "edge-gateway drivers test",
        "edge-gateway drivers new acme/th200 --registers 3:16:F8DA999AC1A9",
    ],
)
def command() -> None:
    """Device profiles: list them, show one, try them against their cases, begin a new one."""


@verb("list", zh="列出所有设备档案，以及生效的文件。", examples=["edge-gateway drivers list", "edge-gateway drivers list --json"])
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> int:
    """Every device profile along the search path, and the file that wins."""
    found = [(id_, file, *read(file)) for id_, file in chosen(ctx, ()).items()]
    if as_json:
        rows = [{"id": id_, "file": str(file), "faults": [str(f) for f in faults]} | _row(loaded) for id_, file, loaded, faults in found]
        click.echo(json.dumps({"schema": "edge-gateway/drivers/1", "profiles": rows}, ensure_ascii=False))
    else:
        table = [_listed(ctx, id_, loaded) for id_, _, loaded, _ in found]
        for line in columns(table):
            click.echo(line)
    return NO if any(faults for *_, faults in found) else OK


def _row(loaded: Loaded | None) -> dict[str, Any]:
    if loaded is None:
        return {}
    profile = loaded.profile
    return {
        "by": _by(profile),
        "name_zh": profile.name_zh,
        "name_en": profile.name_en,
        "verified": profile.verified,
        "tried": profile.tried,
        "needs": profile.modbus.needs if isinstance(profile, ModbusProfile) else "nothing",
        "channels": list(profile.channels),
        "sha256": loaded.sha256,
    }


def _listed(ctx: Context, id_: str, loaded: Loaded | None) -> list[str]:
    if loaded is None:
        return [id_, "", ctx.say("FAULTY: `edge-gateway drivers test` says why", "有错误：见 `edge-gateway drivers test`"), ""]
    profile = loaded.profile
    mark = ctx.say("refused: ", "拒用：") if refusal(ctx, profile) else ""
    return [id_, _by(profile), mark + name_of(ctx, profile), ctx.say(*KNOWN[profile.verified])]


def _by(profile: Profile) -> str:
    return "Modbus" if isinstance(profile, ModbusProfile) else "MQTT"


for _each in (list_, drivers_show.command, drivers_test.command, drivers_new.command):
    command.add_command(_each)
