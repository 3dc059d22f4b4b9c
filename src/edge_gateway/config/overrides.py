"""A site's own numbers for rules, put into the packs that are in use; every fault at its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge_gateway import toml_errors
from edge_gateway.config.model import RulesConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.rules.load import LoadedPack
from edge_gateway.rules.tighten import NotTightened, overridden


def with_overrides(rules: RulesConfig, packs: Sequence[LoadedPack], locate: Locate) -> tuple[list[LoadedPack], list[ConfigError]]:
    """The packs with ``[rules.override.<rule>]`` in them, and what of it is not permitted."""
    faults: list[ConfigError] = []
    known = {rule.id for loaded in packs for _, rule in loaded.rules()}
    for id_ in rules.override:
        if id_ not in known:
            hint = toml_errors.did_you_mean(id_, known)
            faults.append(locate(("rules", "override", id_), f"no rule '{id_}' in the packs in use", code="unknown-rule", hint=hint))
    changed: list[LoadedPack] = []
    for loaded in packs:
        made = []
        for rule in loaded.pack.rule:
            site = rules.override.get(rule.id)
            try:
                made.append(rule if site is None else overridden(rule, site.model_dump(exclude_none=True)))
            except NotTightened as error:
                hint = "the pack's own value stays in force when this key is deleted"
                faults.append(locate(("rules", "override", rule.id, error.key), str(error), code="not-permitted", hint=hint))
                made.append(rule)
        own = {id_: frozenset(site.model_dump(exclude_none=True)) for id_, site in rules.override.items()}
        changed.append(replace(loaded, own=own, pack=loaded.pack.model_copy(update={"rule": tuple(made)})))
    return changed, faults
