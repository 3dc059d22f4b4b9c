"""``rules cards``: one printable page for each rule of this site, in both languages; writes HTML files, changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import GatewayError

if TYPE_CHECKING:
    from edge_gateway.config.load import Loaded
    from edge_gateway.rules.facts import PointFacts
    from edge_gateway.web.cards import Card


@verb(
    "cards",
    zh="打印卡片：本站点每条规则（全部，或指明的）一页 A4，写明限值、测点、怎么办、后果和依据，中英文各一份，写入文件夹。\n\n未监测的规则也有卡片，并写明未监测。",
    examples=["edge-gateway rules cards --out cards", "edge-gateway rules cards frozen-store-air offal-core --out cards"],
)
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="the folder for RULE.zh.html and RULE.en.html", zh="存放 RULE.zh.html 和 RULE.en.html 的文件夹")
@click.pass_obj
def command(ctx: Context, rules: tuple[str, ...], out: Path) -> int:
    """Print cards: a page for each rule of this site (all, or those named): limit, points, what to do, consequence, basis; in both languages.

    A rule that is not monitored has a card too, and it says so.
    """
    from edge_gateway.config.load import load
    from edge_gateway.toml_errors import did_you_mean
    from edge_gateway.web.cards import page

    loaded = load(ctx.config, ctx.state_dir, running=False)
    known = {rule.id for pack in loaded.packs for _, rule in pack.rules()}
    for id_ in rules:
        if id_ not in known:
            raise GatewayError(f"no rule '{id_}' in the packs in use", hint=did_you_mean(id_, known))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for id_ in sorted(rules or known):
            for language in ("zh", "en"):
                (out / f"{id_}.{language}.html").write_text(page(_card(loaded, id_, language), language), encoding="utf-8")
    except OSError as error:
        raise GatewayError(f"{error.filename} cannot be written: {error.strerror}", hint="name another folder with --out") from error
    count = len(set(rules) or known)
    click.echo(ctx.say(f"{count} cards, in Chinese and English, in {out}", f"{count} 张卡片（中英文各一份）已写入 {out}"))
    return OK


def _card(loaded: Loaded, id_: str, language: str) -> Card:
    from edge_gateway.rules.base import BoundRule
    from edge_gateway.rules.bind import shared
    from edge_gateway.rules.facts import PointFacts
    from edge_gateway.web.cards import Card

    pack, rule = next((pack, rule) for pack in loaded.packs for _, rule in pack.rules() if rule.id == id_)
    nowhere = PointFacts(id="", quantity="", unit=getattr(rule, "unit", ""))
    here = [each for each in loaded.binding.rules if each.id == id_]
    config = loaded.config
    names = {name: getattr(point, f"name_{language}") or name for name, point in {**config.points, **config.derived}.items()}
    site = config.site.name_zh if language == "zh" else config.site.name_en
    return Card(replace(BoundRule(**shared(pack, rule, nowhere) | _numbers(rule, nowhere)), point=""), site, here, names)


def _numbers(rule: Any, nowhere: PointFacts) -> dict[str, Any]:
    """The pack's own numbers, for a rule that judges nowhere here; {} where they depend on the place."""
    from edge_gateway.rules.bind_kinds import numbers
    from edge_gateway.rules.model_kinds import CombinedRule, SequenceRule, StaleRule

    if isinstance(rule, CombinedRule | StaleRule):
        return {}
    points = [replace(nowhere, quantity=step.quantity, unit=step.unit) for step in rule.step] if isinstance(rule, SequenceRule) else [replace(nowhere, interval_us=60_000_000)] * 2
    found = numbers(rule, tuple(points), None)
    return {} if isinstance(found, str) else found | {"others": ()}
