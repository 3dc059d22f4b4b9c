"""``run``: the gateway itself, in the foreground; systemd's or a person's."""

from __future__ import annotations

import asyncio

import click

from edge_gateway.cli.main import CONFIG, Context


@click.command("run")
@click.option(
    "--log",
    "level",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="least level that is logged",
)
@click.pass_obj
def command(ctx: Context, level: str) -> int:
    """Run the gateway until SIGTERM or Ctrl-C. SIGHUP reads the configuration again.

    \b
    edge-gateway run
    edge-gateway --config ./gateway.toml --state ./state run
    Exit codes: 78 the configuration was refused, 7 another gateway holds the state folder.
    """
    from edge_gateway.app.run import Options, run
    from edge_gateway.config.load import ConfigRefused
    from edge_gateway.telemetry import set_up_logging

    set_up_logging(level)
    try:
        asyncio.run(run(Options(config=ctx.config, state_dir=ctx.state_dir, socket=ctx.socket)))
    except ConfigRefused as refused:
        for fault in refused.faults:
            click.echo(f"error: {fault}", err=True)
        click.echo(ctx.say("the gateway does not start with this configuration", "配置被拒绝，网关未启动"), err=True)
        return CONFIG
    return 0
