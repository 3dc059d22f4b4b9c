"""What a site should know of its discharge permits: figures that do not count, a permit that has not begun, that ends soon or has ended; pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.rules.bind import Binding
from edge_gateway.rules.bind_kinds import missing
from edge_gateway.rules.permits import AHEAD_DAYS


def permit_warnings(config: GatewayConfig, binding: Binding, locate: Locate, day: str) -> Iterator[ConfigError]:
    """Of each outlet, on a civil day. Nothing of it disarms a rule: of a lapsed permit's figures the stricter ones hold until another one stands there."""
    ignored = {rule.outlet for rule in binding.rules if rule.outlet and "is not applied" in rule.source}
    for id_, outlet in config.outlets.items():
        if id_ in ignored and (lacks := ", ".join(missing(outlet.model_dump()))):
            why, hint = f"the permit's looser figures are not applied: it lacks {lacks}", "a permit with all of them is the legal limit, looser or not"
            yield locate(("outlets", id_), why, code="permit", hint=hint)
        if outlet.permit_date > day:
            why, hint = f"the permit begins on {outlet.permit_date}: until then the limits without it hold", "it comes into force by itself on that day"
            yield locate(("outlets", id_, "permit_date"), why, code="permit-ahead", hint=hint)
        if outlet.permit_until and outlet.permit_until < day:
            why, hint = f"the permit ended on {outlet.permit_until}: its looser figures no longer count, its stricter ones do", "enter the new permit's figures, number, dates and document"
            yield locate(("outlets", id_, "permit_until"), why, code="permit-ended", hint=hint)
        elif outlet.permit_until and outlet.permit_until <= _later(day):
            why, hint = f"the permit ends on {outlet.permit_until}", "ask for its renewal now: what it permits ends with it"
            yield locate(("outlets", id_, "permit_until"), why, code="permit-ends", hint=hint)


def _later(day: str) -> str:
    return (dt.date.fromisoformat(day) + dt.timedelta(days=AHEAD_DAYS)).isoformat()
