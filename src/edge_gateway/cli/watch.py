"""``watch``: a line for each change of points that a pattern names, out of the running gateway; asks no device."""

from __future__ import annotations

import fnmatch
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK
from edge_gateway.cli.status import row_text
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.cli.words import local
from edge_gateway.errors import GatewayError

#: How often the newest committed readings are looked at (s): what comes and goes in between is in the record, not here.
LOOK_S = 0.5


@verb(
    "watch",
    zh="测点有变化时输出一行（每 0.5 秒看一次最新读数）：时间、数值与单位、限值、距今、质量、状态。Ctrl-C 结束。\n\n"
    "只看网关已写入台账的读数，不另外询问设备。",
    examples=[
        "edge-gateway watch                 # all points",
        "edge-gateway watch 'cold*'",
        "edge-gateway watch 'cold*' --for 60 --json",
    ],
)
@click.argument("glob", default="*")
@option("--for", "for_s", type=click.FloatRange(min=0), help="end after so many seconds", zh="多少秒后结束")
@option("--json", "as_json", is_flag=True, help="one JSON object a line", zh="每行一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, glob: str, for_s: float | None, as_json: bool) -> int:
    """Print a line for each change of the points that GLOB names: time, value, limit, age, quality, state. Ctrl-C ends it.

    What it shows is what the gateway has recorded, looked at twice a second; no device is asked for it.
    """
    client = Client(ctx.socket)
    zone = client.get("/v1/status")["site"].get("timezone", "Asia/Shanghai")
    ends_s = None if for_s is None else time.monotonic() + for_s
    before: dict[str, Any] = {}
    first = True
    while True:
        rows = named(client.get("/v1/points")["points"], glob)
        if first and not rows:
            raise GatewayError(f"no point is named '{glob}'", hint="`edge-gateway status --points` lists them")
        first = False
        for row in changed(rows, before):
            shown = json.dumps(row, ensure_ascii=False) if as_json else f"{_when(row, zone)}{row_text(ctx, row, zone)}"
            click.echo(shown)
        if ends_s is not None and time.monotonic() >= ends_s:
            return OK
        time.sleep(LOOK_S)


def named(rows: Iterable[dict[str, Any]], glob: str) -> list[dict[str, Any]]:
    """The rows whose point the pattern names, in the order of ids."""
    return sorted((row for row in rows if fnmatch.fnmatchcase(row["point"], glob)), key=lambda row: str(row["point"]))


def changed(rows: Iterable[dict[str, Any]], before: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows that say something else than ``before``, which is brought up to date. An older age alone is no change."""
    for row in rows:
        now = (row["value"], row["quality"], row["state"], row["stale"])
        if before.get(row["point"]) != now:
            before[row["point"]] = now
            yield row


def _when(row: Mapping[str, Any], zone: str) -> str:
    return local(row["observed_us"], zone) if row["observed_us"] else "-"
