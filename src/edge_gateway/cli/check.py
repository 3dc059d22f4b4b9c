"""``check``: says everything that is wrong with the configuration, without opening a port."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from edge_gateway.cli.main import NO, OK, WARNINGS, Context
from edge_gateway.errors import ConfigError


@click.command("check")
@click.option("--strict", is_flag=True, help="warnings are fatal (exit 3)")
@click.option("--effective", is_flag=True, help="print the merged configuration and where each value comes from")
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text")
@click.pass_obj
def command(ctx: Context, strict: bool, effective: bool, form: str) -> int:
    """Check the configuration: static, offline, opens no port. Exit 0 sound, 1 faults, 3 warnings with --strict.

    \b
    edge-gateway check
    edge-gateway check --effective
    edge-gateway check --strict --format github     in CI
    """
    from edge_gateway.config.load import ConfigRefused, load

    faults: Sequence[ConfigError] = ()
    loaded = None
    try:
        loaded = load(ctx.config, ctx.state_dir)
    except ConfigRefused as refused:
        faults = refused.faults
    warnings = loaded.warnings if loaded is not None else []
    if form == "json":
        items = [_as_dict("error", fault) for fault in faults] + [_as_dict("warning", item) for item in warnings]
        click.echo(
            json.dumps({"schema": "edge-gateway/check/1", "sound": not faults, "items": items}, ensure_ascii=False)
        )
    elif form == "github":
        for level, found in (("error", faults), ("warning", warnings)):
            for item in found:
                click.echo(
                    f"::{level} file={item.file},line={item.line},title={item.code}::{item.key}: {item.why}. {item.hint}"
                )
    else:
        _talk(ctx, faults, warnings)
        if loaded is not None and not effective:
            _summary(ctx, loaded)
    if loaded is not None and effective:
        for path, origin in loaded.merged.origins.items():
            value = _value(loaded.merged.data, path)
            if not isinstance(value, dict | list):
                click.echo(f"{'.'.join(map(str, path))} = {json.dumps(value, ensure_ascii=False)}    # {origin}")
    return NO if faults else WARNINGS if warnings and strict else OK


def _talk(ctx: Context, faults: Sequence[ConfigError], warnings: Sequence[ConfigError]) -> None:
    for word, found in ((ctx.say("error", "错误"), faults), (ctx.say("warning", "警告"), warnings)):
        for item in found:
            where = ":".join(part for part in (item.file, str(item.line) if item.line else "") if part)
            click.echo(f"{word}  {where}  {item.key}: {item.why}", err=True)
            if item.hint:
                click.echo(f"       {item.hint}", err=True)
    if faults or warnings:
        counts = ctx.say(
            f"{len(faults)} errors, {len(warnings)} warnings", f"{len(faults)} 个错误，{len(warnings)} 个警告"
        )
        click.echo(counts, err=True)


def _summary(ctx: Context, loaded: object) -> None:
    from edge_gateway.config.load import Loaded

    if not isinstance(loaded, Loaded):
        return
    config = loaded.config
    for file in loaded.merged.texts:
        click.echo(f"{file}  ok")
    counts = (len(config.buses), len(config.devices), len(config.points), len(config.sinks))
    click.echo(
        ctx.say("%d buses, %d devices, %d points, %d sinks", "%d 条总线，%d 台设备，%d 个测点，%d 个去向") % counts
    )
    for name, profile in sorted(loaded.profiles.items()):
        click.echo(f"drivers/{name}  {profile.file}  sha256:{profile.sha256[:12]}")
    for pack in loaded.packs:
        click.echo(f"rules/{pack.pack.id} {pack.pack.version}  {pack.file}  sha256:{pack.sha256[:12]}")
    click.echo(ctx.say(f"{len(loaded.binding.rules)} rules bound", f"已绑定 {len(loaded.binding.rules)} 条规则"))
    for rule in loaded.binding.rules:
        mark = "" if rule.verified != "no" else ctx.say("  (operator's value, unverified)", "（运营方数值，未核实）")
        click.echo(f"  {rule.id} → {rule.point}  {rule.limit}{mark}")


def _as_dict(severity: str, item: ConfigError) -> dict[str, object]:
    return {
        "severity": severity,
        "code": item.code,
        "file": item.file,
        "line": item.line,
        "key": item.key,
        "why": item.why,
        "hint": item.hint,
    }


def _value(data: object, path: Sequence[str | int]) -> object:
    for key in path:
        data = data[key]  # type: ignore[index]
    return data
