"""``schema``: JSON Schemas, so that editors complete and check the TOML files."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("which", type=click.Choice(["config", "profile", "pack"]))
def command(which: str) -> int:
    """Print the JSON Schema of gateway.toml, of a device profile or of a rule pack.

    \b
    edge-gateway schema config > gateway.schema.json
    """
    from pydantic import TypeAdapter

    if which == "config":
        from edge_gateway.config.model import GatewayConfig

        schema = GatewayConfig.model_json_schema()
    elif which == "profile":
        from edge_gateway.profiles.model import ModbusProfile, PayloadProfile

        schema = TypeAdapter(ModbusProfile | PayloadProfile).json_schema()
    else:
        from edge_gateway.rules.model import RulePack

        schema = RulePack.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    click.echo(json.dumps(schema, ensure_ascii=False, indent=2))
    return 0
