"""Whether what a hub is owed could ever be witnessed, and so freed; pure."""

from __future__ import annotations

from collections.abc import Iterator

from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.sinks.hub import HubConfig


def witness_warnings(config: GatewayConfig, locate: Locate) -> Iterator[ConfigError]:
    """A hub without its key, or a record that nobody signs: nothing is freed then, and one day the disk is full."""
    for name, sink in config.sinks.items():
        if not isinstance(sink, HubConfig):
            continue
        if not sink.vkey:
            why = f"hub '{name}' has no vkey: nothing counts as witnessed, so nothing is ever freed"
            yield locate(("sinks", name), why, code="never-freed", hint="write the line that `regulator-hub key` prints")
        if not config.signer.socket:
            why = f"nobody signs the record, so hub '{name}' can witness nothing, and nothing is ever freed"
            yield locate(("sinks", name), why, code="never-freed", hint="run `edge-gateway signer run` and set socket of [signer]")
