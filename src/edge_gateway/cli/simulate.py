"""``simulate SCENARIO``: one thing that goes wrong at a simulated site; it becomes a program of its own and touches no running gateway."""

from __future__ import annotations

import json
import os
import sys

import click

from edge_gateway.cli.demo import Duration
from edge_gateway.cli.verbs import Context, option, verb


@verb(
    "simulate",
    zh="在模拟站点上演一个情景（停电、探头拔出、除霜等）：真实的网关、驱动、规则和监管端，只有现场是模拟的。给出 --config 文件（以及 --state 目录，含页面和命令的改动）时用您自己的站点：按寄存器表模拟其 Modbus 测点，用其区域和规则；无法模拟的部分（其他总线）会略去并列出。全部在临时目录中进行，不接触正在运行的网关、其台账和上报。\n\n"
    "退出码：0 结果符合情景，1 不符合（或读数丢失），3 未到结束即停止。",
    examples=[
        "edge-gateway simulate --list",
        "edge-gateway simulate compressor-stop --speed 120 --seed 7",
        "edge-gateway simulate compressor-stop --config gateway.toml   # your own points and rules",
        "edge-gateway simulate door-open --pack ./my-pack.toml --record ./kept --json",
    ],
)
@click.argument("scenario", required=False)
@option("--list", "listed", is_flag=True, help="the scenarios, and how long each takes", zh="列出情景及各自时长")
@option("--for", "for_s", type=Duration(), help="stop after so long (real time); without it the scenario's end", zh="运行多久（真实时间）；不写则到情景结束")
@option("--speed", type=click.FloatRange(1, 200), default=60.0, show_default=True, help="how fast the site's time runs", zh="站点时间的倍速")
@option("--seed", type=click.IntRange(0), default=1, show_default=True, help="the same seed, the same course at the site", zh="种子相同则现场过程相同")
@option("--pack", "packs", multiple=True, type=click.Path(exists=True, dir_okay=False), help="a rule pack, in place of the shipped one of its id or beside them; several times", zh="规则包文件：替换同名的自带规则包或另加，可多次")
@option("--record", type=click.Path(file_okay=False), help="keep record, logs and truth log in this folder (empty or new)", zh="将台账、日志和真值记录保留在此目录（须为空或不存在）")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, /, packs: tuple[str, ...], **asked: object) -> None:
    """Play a scenario at a simulated site: real gateway, drivers, rules and hub; only the plant is simulated.

    With --config FILE (and --state FOLDER, for what pages and commands changed) it is your own site: its Modbus points by their
    registers, its zones, its rules. What it cannot act out (other buses) it leaves out and names.

    It happens in a temporary folder, and touches no gateway that runs here, nor its record and sinks.

    Exit codes: 0 it came as the scenario says, 1 it did not (or a reading was lost), 3 stopped before its end.
    """
    options = asked | {"packs": list(packs), "config": _text(ctx, "config"), "state": _text(ctx, "state"), "language": ctx.language}
    sys.stdout.flush()
    sys.stderr.flush()
    program = [sys.executable, "-m", "edge_gateway.demo.simulate", json.dumps(options)]
    os.execv(sys.executable, program)  # noqa: S606 -- the simulation is a program of its own


def _text(ctx: Context, name: str) -> str | None:
    """A place that was asked for on the command line; the environment's and the usual ones are a running gateway's."""
    place = ctx.asked.get(name)
    return None if place is None else str(place)
