"""``run``: the gateway itself, in the foreground; systemd's or a person's."""

from __future__ import annotations

import asyncio
import os

import click

from edge_gateway.cli.main import CONFIG, NOT_PERMITTED, OK, say_errors
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import ConfigError, GatewayError

#: Faults of the machine rather than of the file: a restart may help.
_NOT_THE_FILE = frozenset({"no-listen"})
#: What the kernel takes as a Unix socket's path (bytes).
_LONGEST_SOCKET = 107
_STATE_HINT = "name another with --state, or give this one to the service's user"


class NoState(GatewayError):
    """The state folder cannot be made or used by this user."""

    exit_code = NOT_PERMITTED


@verb(
    "run",
    zh="运行网关，直到 SIGTERM 或 Ctrl-C。SIGHUP：重新读取配置。\n\n退出码：0 正常停止，78 配置被拒绝，7 状态目录被另一个网关占用。",
    examples=[
        "edge-gateway run",
        "edge-gateway run --config ./gateway.toml --state ./state",
        "kill -HUP <pid>          # take over a changed configuration",
    ],
)
@option(
    "--log",
    "level",
    default="info",
    envvar="EDGE_GATEWAY_LOG",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="least level that is logged",
    zh="日志级别",
)
@click.pass_obj
def command(ctx: Context, level: str) -> int:
    """Run the gateway until SIGTERM or Ctrl-C. SIGHUP reads the configuration again.

    Exit codes: 0 stopped in order, 78 the configuration was refused, 7 another gateway has the state folder.
    """
    from edge_gateway.loading import loading

    with loading():
        from edge_gateway.app.run import Options, run
        from edge_gateway.links.logs import set_up_logging

    set_up_logging(level)
    if len(os.fsencode(ctx.socket)) > _LONGEST_SOCKET:
        raise GatewayError(
            f"the control socket's path is too long: {ctx.socket}", hint="name a shorter one with --socket"
        )
    try:
        asyncio.run(run(Options(config=ctx.config, state_dir=ctx.state_dir, socket=ctx.socket)))
    except ConfigError as refused:
        if refused.code in _NOT_THE_FILE:
            raise
        say_errors([refused], ctx.language)
        click.echo(ctx.say("the gateway does not start with this configuration", "配置被拒绝，网关未启动"), err=True)
        return CONFIG
    except OSError as error:
        if not str(error.filename or "").startswith(str(ctx.state_dir)):
            raise
        raise NoState(f"the state folder {ctx.state_dir} cannot be used: {error.strerror}", hint=_STATE_HINT) from error
    return OK
