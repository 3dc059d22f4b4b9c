"""``check``: says everything that is wrong with the configuration, without opening a port."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.check_room import room_warnings
from edge_gateway.cli.main import NO, OK, WARNINGS, sentence
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import ConfigError
from edge_gateway.web.chinese import chinese
from edge_gateway.web.rule_words import limit_words

if TYPE_CHECKING:
    from edge_gateway.config.load import Loaded


@verb(
    "check",
    zh="检查配置。静态、离线，不打开任何端口。\n\n退出码：0 正确，1 有错误，3 有警告且指定了 --strict。",
    examples=[
        "edge-gateway check",
        "edge-gateway check --effective                # every value in force, and where it comes from",
        "edge-gateway check --strict --format github   # in CI",
    ],
)
@option("--strict", is_flag=True, help="warnings are fatal (exit 3)", zh="警告视为失败（退出码 3）")
@option("--effective", is_flag=True, help="print every value in force and its origin", zh="列出生效的每个值及其来源")
@option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="text for people, json for programs, github for CI annotations",
    zh="text 供人阅读，json 供程序，github 供 CI 注释",
)
@click.pass_obj
def command(ctx: Context, strict: bool, effective: bool, form: str) -> int:
    """Check the configuration. Static and offline: no port is opened.

    Exit codes: 0 sound, 1 faults, 3 warnings with --strict.
    """
    from edge_gateway.config.load import ConfigRefused, load

    faults: Sequence[ConfigError] = ()
    loaded = None
    try:
        loaded = load(ctx.config, ctx.state_dir, running=False)
    except ConfigRefused as refused:
        faults = refused.faults
    warnings = [*loaded.warnings, *room_warnings(loaded, ctx.state_dir)] if loaded is not None else []
    if form == "json":
        click.echo(json.dumps(_document(faults, warnings, loaded, effective), ensure_ascii=False))
    elif form == "github":
        for level, found in (("error", faults), ("warning", warnings)):
            for item in found:
                click.echo(annotation(level, item))
    else:
        _text(ctx, faults, warnings, loaded, effective)
    return NO if faults else WARNINGS if warnings and strict else OK


def annotation(level: str, item: ConfigError) -> str:
    """A line that GitHub shows beside the file's line."""
    properties = {"file": item.file, "line": str(item.line or 1), "title": item.code}
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    message = " ".join(part for part in (f"{item.key}:" if item.key else "", f"{item.why}.", item.hint) if part)
    return f"::{level} {shown}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _document(
    faults: Sequence[ConfigError], warnings: Sequence[ConfigError], loaded: Loaded | None, effective: bool
) -> dict[str, Any]:
    items = [as_dict("error", fault) for fault in faults] + [as_dict("warning", item) for item in warnings]
    document: dict[str, Any] = {"schema": "edge-gateway/check/1", "sound": not faults, "items": items}
    if loaded is not None:
        document["files"] = list(loaded.merged.texts)
        document["profiles"] = {
            name: {"file": str(profile.file), "sha256": profile.sha256} for name, profile in loaded.profiles.items()
        }
        document["packs"] = {
            pack.pack.id: {"version": pack.pack.version, "file": str(pack.file), "sha256": pack.sha256}
            for pack in loaded.packs
        }
        document["rules"] = [
            {"rule": rule.id, "point": rule.point, "limit": rule.limit, "verified": rule.verified}
            for rule in loaded.binding.rules
        ]
        document["buses"] = _buses(loaded)
        if effective:
            from edge_gateway.config.effective import effective as values

            document["effective"] = [
                {"key": dotted(path), "value": value, "origin": origin}
                for path, value, origin in values(loaded.config, loaded.merged)
            ]
    return document


def _buses(loaded: Loaded) -> dict[str, dict[str, float]]:
    """The time budget of each Modbus bus: seconds, and shares of 1."""
    from edge_gateway.config.budget import budgets
    from edge_gateway.config.resolve import device_specs

    return {
        bus: {
            "requests": its.requests,
            "round_s": round(its.round_s, 4),
            "load": round(its.load, 4),
            "slack": round(1 - its.load, 4),
            "silent_unit_s": round(its.silent_s, 3),
        }
        for bus, its in budgets(loaded.config, device_specs(loaded)).items()
    }


def dotted(path: Sequence[str | int]) -> str:
    """A key as people write it."""
    return ".".join(map(str, path))


def as_dict(severity: str, item: ConfigError) -> dict[str, object]:
    """One fault for programs: English, whatever the reader's language."""
    return {
        "severity": severity,
        "code": item.code,
        "file": item.file,
        "line": item.line,
        "key": item.key,
        "why": item.why,
        "hint": item.hint,
    }


def _text(
    ctx: Context, faults: Sequence[ConfigError], warnings: Sequence[ConfigError], loaded: Loaded | None, effective: bool
) -> None:
    for word, found in ((ctx.say("error", "错误"), faults), (ctx.say("warn ", "警告"), warnings)):
        for item in found:
            for line in sentence(item, word, chinese if ctx.language == "zh" else str):
                click.echo(line, err=True)
    if loaded is not None and effective:
        _effective(loaded)
    elif loaded is not None:
        _summary(ctx, loaded)
    counts = f"{len(faults)} {_plural('error', faults)}, {len(warnings)} {_plural('warning', warnings)}"
    click.echo(ctx.say(counts, f"{len(faults)} 个错误，{len(warnings)} 个警告"), err=True)


def _plural(word: str, found: Sequence[ConfigError]) -> str:
    return word if len(found) == 1 else f"{word}s"


def _effective(loaded: Loaded) -> None:
    from edge_gateway.config.effective import effective as values

    for path, value, origin in values(loaded.config, loaded.merged):
        shown = value.isoformat() if hasattr(value, "isoformat") else json.dumps(value, ensure_ascii=False)
        click.echo(f"{dotted(path)} = {shown}    # {origin}")


def _summary(ctx: Context, loaded: Loaded) -> None:
    """Which files won, what there is, what each bus' time is worth, what each rule is bound to."""
    from edge_gateway.config.budget import budgets
    from edge_gateway.config.resolve import device_specs

    config = loaded.config
    for file in loaded.merged.texts:
        click.echo(f"{file}  {ctx.say('ok', '正确')}")
    counts = (len(config.buses), len(config.devices), len(config.points), len(config.sinks))
    click.echo(
        ctx.say("%d buses, %d devices, %d points, %d sinks", "%d 条总线，%d 台设备，%d 个测点，%d 个去向") % counts
    )
    journal = config.journal
    click.echo(
        ctx.say(
            f"journal: kept for {journal.keep_days} days, at most {journal.max_bytes}, committed every {journal.commit_every_s:g} s: a power cut costs at most that "
            "(1 s suits SSD and eMMC, 5 s spares an SD card)",
            f"台账：保存 {journal.keep_days} 天，最多 {journal.max_bytes}，每 {journal.commit_every_s:g} 秒落盘；断电最多损失这段时间（SSD、eMMC 用 1 秒，SD 卡用 5 秒）",
        )
    )
    for bus, budget in budgets(config, device_specs(loaded)).items():
        click.echo(
            ctx.say(
                f"bus {bus}: a round takes {budget.round_s:.2f} s (requests: {budget.requests}), slack {1 - budget.load:.0%}; "
                f"a silent unit keeps it for up to {budget.silent_s:.1f} s",
                f"总线 {bus}：一轮 {budget.requests} 次请求，需 {budget.round_s:.2f} 秒，时间余量 {1 - budget.load:.0%}；"
                f"从站不应答时最多占线 {budget.silent_s:.1f} 秒",
            )
        )
    for name, profile in sorted(loaded.profiles.items()):
        click.echo(
            f"drivers/{name}  {profile.file}  sha256:{profile.sha256[:12]}  {_known(ctx, profile.profile.verified)}"
        )
    for pack in loaded.packs:
        click.echo(f"rules/{pack.pack.id} {pack.pack.version}  {pack.file}  sha256:{pack.sha256[:12]}")
    click.echo(ctx.say(f"{len(loaded.binding.rules)} rules bound", f"已绑定 {len(loaded.binding.rules)} 条规则"))
    for rule in loaded.binding.rules:
        click.echo(f"  {rule.id} -> {rule.point}  {limit_words(rule.limit, ctx.language)}{ctx.say(*_BASIS[rule.verified])}")


#: How well a limit's basis is known, behind the limit.
_BASIS = {
    "primary": ("", ""),
    "secondary": ("  (as quoted by others, not read in the standard)", "（据转述，未见标准原文）"),
    "no": ("  (operator's value, unverified)", "（运营方数值，未核实）"),
}


def _known(ctx: Context, verified: str) -> str:
    words = {
        "primary": ("from the maker's text", "出自原厂资料"),
        "secondary": ("from somebody's quotation, unverified", "出自转述，未核实"),
        "no": ("unverified", "未核实"),
    }
    return ctx.say(*words[verified])
