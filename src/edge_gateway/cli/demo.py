"""``demo``: a whole site, simulated; it becomes the demonstration's own program and shares no process with the product."""

from __future__ import annotations

import json
import os
import re
import sys

import click

from edge_gateway.cli.verbs import Context, option, verb

_UNITS_S = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "": 1.0}


class Duration(click.ParamType[float]):
    """``40s``, ``2min``, ``1h``: seconds as a float."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds. Fails with a sentence."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|)", str(value))
        if match is None or float(match[1]) <= 0:
            self.fail(f"'{value}' is no duration; write 40s, 2min or 1h", param, ctx)
        return float(match[1]) * _UNITS_S[match[2]]


@verb(
    "demo",
    zh="模拟整个站点：现场、网关、监管端、数据库。不需要 root、硬件或网络，不留任何文件。\n\n退出码：0 每个读数都原样到达监管端和数据库端，1 并非如此。",
    examples=[
        "edge-gateway demo",
        "edge-gateway demo --for 40s --speed 60 --seed 1 --json",
        "edge-gateway demo --keep ./kept       # keep journal, logs and truth log",
    ],
)
@option(
    "--for",
    "for_s",
    type=Duration(),
    help="how long, in real time, from the first reading on; without it until Ctrl-C",
    zh="运行多久（真实时间，自首个读数起）；不写则直到 Ctrl-C",
)
@option(
    "--speed",
    type=click.FloatRange(1, 200),
    default=30.0,
    show_default=True,
    help="how fast the site's time runs",
    zh="站点时间的倍速",
)
@option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="the same seed tells the same story",
    zh="种子相同则情节相同",
)
@option("--json", "as_json", is_flag=True, help="end with one JSON line on stdout", zh="最后在 stdout 输出一行 JSON")
@option(
    "--keep",
    type=click.Path(file_okay=False),
    help="keep everything in this folder (empty or new)",
    zh="全部保留在此目录（须为空或不存在）",
)
@click.pass_obj
def command(ctx: Context, for_s: float | None, speed: float, seed: int, as_json: bool, keep: str | None) -> None:
    """Simulate a whole site: plant, gateway, hub, database. Needs no root, hardware or network; leaves nothing behind.

    Exit codes: 0 every reading arrived unaltered at hub and receiver, 1 not so.
    """
    options = {
        "for_s": for_s,
        "speed": speed,
        "seed": seed,
        "as_json": as_json,
        "keep": keep,
        "language": ctx.language,
    }
    sys.stdout.flush()
    sys.stderr.flush()
    program = [sys.executable, "-m", "edge_gateway.demo.run", json.dumps(options)]
    os.execv(sys.executable, program)  # noqa: S606 -- the demonstration is a program of its own
