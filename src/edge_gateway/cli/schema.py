"""``schema``: JSON Schemas, so that editors complete and check the TOML files."""

from __future__ import annotations

import json
from typing import Any

import click

from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import verb


@verb(
    "schema",
    zh="输出 gateway.toml（config）、设备档案（profile）及其用例（cases）或规则包（pack）的 JSON Schema，供编辑器补全和检查。",
    examples=[
        "edge-gateway schema config > gateway.schema.json",
        "edge-gateway schema profile",
        "edge-gateway schema pack",
    ],
)
@click.argument("which", type=click.Choice(["config", "profile", "cases", "pack"]))
def command(which: str) -> int:
    """Print the JSON Schema of gateway.toml, of a device profile, of its cases or of a rule pack: editors complete and check by it."""
    click.echo(json.dumps(schema(which), ensure_ascii=False, indent=2))
    return OK


def schema(which: str) -> dict[str, Any]:
    """The schema of ``config``, ``profile``, ``cases`` or ``pack``."""
    from pydantic import TypeAdapter

    if which == "config":
        from edge_gateway.config.model import GatewayConfig

        found = GatewayConfig.model_json_schema()
    elif which == "profile":
        from edge_gateway.profiles.model import ModbusProfile, PayloadProfile

        found = TypeAdapter(ModbusProfile | PayloadProfile).json_schema()
    elif which == "cases":
        from edge_gateway.profiles.cases import Cases

        found = Cases.model_json_schema()
    else:
        from edge_gateway.rules.model import RulePack

        found = RulePack.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found
