"""The root command: finds verbs, language and folders; turns errors into sentences and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge_gateway import __version__
from edge_gateway.errors import (
    ConfigError,
    GatewayError,
    JournalBusy,
    LinkDown,
    SinkError,
    SourceError,
)

#: Exit codes, documented in docs/reference/cli.md and tested.
OK, NO, USAGE, WARNINGS, NO_ANSWER, NO_NETWORK, NOT_PERMITTED, BUSY, CONFIG = 0, 1, 2, 3, 4, 5, 6, 7, 78

#: verb -> (module, one line in English, one line in Chinese)
VERBS = {
    "init": ("init", "write a commented configuration (never overwrites)", "写出带注释的配置文件（从不覆盖）"),
    "run": ("run", "run the gateway", "运行网关"),
    "check": ("check", "check the configuration: static, offline", "检查配置：静态、离线"),
    "read": ("read", "read one point or unit now", "立即读取一个测点或单元"),
    "status": ("status", "say how the running gateway is", "显示运行状态"),
    "violations": ("violations", "list, acknowledge or close violations", "列出、确认或关闭违规"),
    "quarantine": ("quarantine", "what sinks refused: list, retry, drop", "被拒收的数据：列出、重试、丢弃"),
    "export": ("export", "export readings from the journal", "从日志导出读数"),
    "schema": ("schema", "print JSON Schemas of the files", "输出各文件的 JSON Schema"),
    "demo": ("demo", "a whole site, simulated, in a minute", "一分钟演示：完整的模拟站点"),
}


@dataclass(frozen=True, slots=True)
class Context:
    """What every verb knows: where things are, and the reader's language."""

    config: Path
    state_dir: Path
    socket: Path
    language: str

    def say(self, en: str, zh: str) -> str:
        """The sentence in the reader's language."""
        return zh if self.language == "zh" else en


def language(asked: str | None) -> str:
    """``zh`` or ``en``: what was asked for, else EDGE_GATEWAY_LANG, LC_ALL, LC_MESSAGES, LANG."""
    names = ("EDGE_GATEWAY_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    value = asked or next((os.environ[name] for name in names if os.environ.get(name)), "")
    return "zh" if value.lower().startswith("zh") else "en"


def config_file() -> Path:
    """$EDGE_GATEWAY_CONFIG, else the system's file for root, the user's for others."""
    if value := os.environ.get("EDGE_GATEWAY_CONFIG"):
        return Path(value)
    if os.geteuid() == 0 or Path("/etc/edge-gateway/gateway.toml").is_file():
        return Path("/etc/edge-gateway/gateway.toml")
    return Path(os.environ.get("XDG_CONFIG_HOME", "~/.config")).expanduser() / "edge-gateway" / "gateway.toml"


def state_folder() -> Path:
    """$EDGE_GATEWAY_STATE_DIR, systemd's StateDirectory, else the system's or the user's state folder."""
    for name in ("EDGE_GATEWAY_STATE_DIR", "STATE_DIRECTORY"):
        if value := os.environ.get(name):
            return Path(value.split(":")[0])
    if os.geteuid() == 0 or Path("/var/lib/edge-gateway").is_dir():
        return Path("/var/lib/edge-gateway")
    return Path(os.environ.get("XDG_STATE_HOME", "~/.local/state")).expanduser() / "edge-gateway"


def control_socket(state_dir: Path, asked: str | None) -> Path:
    """Where the daemon's control socket is: asked for, $EDGE_GATEWAY_SOCKET, systemd's runtime folder, else the state folder."""
    if asked or os.environ.get("EDGE_GATEWAY_SOCKET"):
        return Path(asked or os.environ["EDGE_GATEWAY_SOCKET"])
    runtime = os.environ.get("RUNTIME_DIRECTORY")
    if runtime:
        return Path(runtime.split(":")[0]) / "control.sock"
    if state_dir == Path("/var/lib/edge-gateway"):
        return Path("/run/edge-gateway/control.sock")
    return state_dir / "control.sock"


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"edge_gateway.cli.{VERBS[name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Without importing them: --help stays quick.
        column = 2 if language(None) == "zh" else 1
        with formatter.section("Commands"):
            formatter.write_dl([(name, str(verb[column])) for name, verb in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config", type=click.Path(path_type=Path), help="the configuration file")
@click.option("--state", "state", type=click.Path(path_type=Path), help="the state folder")
@click.option("--socket", "socket", help="the running gateway's control socket")
@click.option("--lang", type=click.Choice(["zh", "en"]), help="language of what people read")
@click.version_option(__version__, prog_name="edge-gateway")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, state: Path | None, socket: str | None, lang: str | None) -> None:
    """Edge gateway for food-safety and environmental monitoring.

    \b
    edge-gateway demo                 a whole site in a minute, no hardware
    edge-gateway init && edge-gateway check
    edge-gateway status
    """
    state_dir = state or state_folder()
    ctx.obj = Context(config or config_file(), state_dir, control_socket(state_dir, socket), language(lang))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs a verb, ends the process with a documented exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code and never a traceback for a foreseen error."""
    try:
        result: Any = cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return USAGE
    except click.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except GatewayError as error:
        click.echo(_sentence(error), err=True)
        return exit_code(error)
    except BrokenPipeError:
        sys.stderr.close()
        return OK
    return result if isinstance(result, int) else OK


def exit_code(error: GatewayError) -> int:
    """Which exit code an error has."""
    code: int = getattr(error, "exit_code", 0)
    if code:
        return code
    table: list[tuple[type[GatewayError], int]] = [
        (JournalBusy, BUSY),
        (ConfigError, NO),
        (LinkDown, NO_ANSWER),
        (SourceError, NO_ANSWER),
        (SinkError, NO_NETWORK),
    ]
    return next((number for kind, number in table if isinstance(error, kind)), NO)


def _sentence(error: GatewayError) -> str:
    faults = getattr(error, "faults", None) or [error]
    return "\n".join(f"error: {fault}" for fault in faults)
