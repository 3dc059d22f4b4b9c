"""``demo``: a whole site, simulated; it becomes the demonstration's own program and shares no process with the product."""

from __future__ import annotations

import json
import os
import re
import sys

import click

from edge_gateway.cli.main import Context

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


@click.command("demo")
@click.option(
    "--for", "for_s", type=Duration(), help="how long, in real time, from the first reading on; without it until Ctrl-C"
)
@click.option(
    "--speed", type=click.FloatRange(1, 200), default=30.0, show_default=True, help="how fast the site's time runs"
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="the same seed tells the same story")
@click.option("--json", "as_json", is_flag=True, help="end with one JSON line on stdout")
@click.option("--keep", type=click.Path(file_okay=False), help="keep everything in this folder (empty or new)")
@click.pass_obj
def command(ctx: Context, for_s: float | None, speed: float, seed: int, as_json: bool, keep: str | None) -> None:
    """Simulate a whole site: plant, gateway, hub, database. Needs no root, no hardware, no network; leaves nothing behind.

    \b
    edge-gateway demo
    edge-gateway demo --for 40s --speed 60 --seed 1 --json
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
