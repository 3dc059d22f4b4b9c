"""What keeps an enforced rule pack enforced when a file says otherwise: a second person has to agree first; pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from edge_gateway.config.load import Loaded
from edge_gateway.errors import ConfigError
from edge_gateway.rules.bind import Binding


def left_enforced(before: Collection[str], loaded: Loaded, may_leave: str = "") -> ConfigError | None:
    """The fault of a configuration that takes one of ``before`` back, which are enforced, other than ``may_leave``; None: it takes none."""
    for pack in loaded.packs:
        if pack.state and pack.pack.id in before and pack.pack.id != may_leave:
            hint = f"`edge-gateway rules state {pack.pack.id} {pack.state} --second NAME --reason …`"
            why = f"pack '{pack.pack.id}' is enforced: a file alone does not take it back, a second person does"
            return ConfigError(why, key=f"rules.state.{pack.pack.id}", code="enforced", hint=hint)
    return None


def kept_enforced(before: Collection[str], loaded: Loaded) -> tuple[Loaded, list[str]]:
    """At a start: what the record has as enforced (``before``) stays so, whatever the files say; and the packs of which that is true."""
    kept = [pack.pack.id for pack in loaded.packs if pack.state and pack.pack.id in before]
    if not kept:
        return loaded, []
    packs = [replace(pack, state="") if pack.pack.id in kept else pack for pack in loaded.packs]
    bound = [replace(rule, state="") if rule.pack in kept else rule for rule in loaded.binding.rules]
    return replace(loaded, packs=packs, binding=Binding(bound, loaded.binding.not_monitored)), kept
