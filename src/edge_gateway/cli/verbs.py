"""How verbs look: help in two languages with examples on top, and the same global options before and after a verb; knows no verb."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Context:
    """What every verb knows: where things are, and the reader's language. ``asked`` is what options said."""

    config: Path
    state_dir: Path
    socket: Path
    language: str
    asked: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: dict[str, Any]) -> Context:
        """From options, else the environment, else where such things are."""
        state_dir = asked.get("state") or state_folder()
        return cls(
            config=asked.get("config") or config_file(),
            state_dir=state_dir,
            socket=control_socket(state_dir, asked.get("socket")),
            language=language(asked.get("lang")),
            asked=asked,
        )

    def say(self, en: str, zh: str) -> str:
        """The sentence in the reader's language."""
        return zh if self.language == "zh" else en


def language(asked: str | None) -> str:
    """``zh`` or ``en``: what was asked for, else EDGE_GATEWAY_LANG, LC_ALL, LC_MESSAGES, LANG."""
    names = ("EDGE_GATEWAY_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    value = asked or next((os.environ[name] for name in names if os.environ.get(name)), "")
    return "zh" if value.lower().startswith("zh") else "en"


def config_file() -> Path:
    """$EDGE_GATEWAY_CONFIG, else the system's file for root, where there is one, or for a user without a home, else the user's."""
    if value := os.environ.get("EDGE_GATEWAY_CONFIG"):
        return Path(value)
    own = _of_user("XDG_CONFIG_HOME", "~/.config")
    if own is None or os.geteuid() == 0 or Path("/etc/edge-gateway/gateway.toml").is_file():
        return Path("/etc/edge-gateway/gateway.toml")
    return own / "gateway.toml"


def state_folder() -> Path:
    """$EDGE_GATEWAY_STATE_DIR, systemd's StateDirectory, else the system's or the user's state folder."""
    for name in ("EDGE_GATEWAY_STATE_DIR", "STATE_DIRECTORY"):
        if value := os.environ.get(name):
            return Path(value.split(":")[0])
    own = _of_user("XDG_STATE_HOME", "~/.local/state")
    if own is None or os.geteuid() == 0 or Path("/var/lib/edge-gateway").is_dir():
        return Path("/var/lib/edge-gateway")
    return own


def _of_user(variable: str, usual: str) -> Path | None:
    """Our folder in one of the user's; None for a user who has no home (a service's, or one that no account is of)."""
    try:
        return Path(os.environ.get(variable) or usual).expanduser() / "edge-gateway"
    except RuntimeError:
        return None


def control_socket(state_dir: Path, asked: str | None) -> Path:
    """Asked for, $EDGE_GATEWAY_SOCKET, systemd's runtime folder, the system's for its state folder, else in the state folder."""
    if named := asked or os.environ.get("EDGE_GATEWAY_SOCKET"):
        return Path(named)
    if runtime := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(runtime.split(":")[0]) / "control.sock"
    if state_dir == Path("/var/lib/edge-gateway"):
        return Path("/run/edge-gateway/control.sock")
    return state_dir / "control.sock"


def reader_language(ctx: click.Context) -> str:
    """The language for help: also before any verb ran."""
    found: Any = ctx.obj
    return found.language if isinstance(found, Context) else language(ctx.find_root().params.get("lang"))


class Option(click.Option):
    """An option with help in two languages."""

    def __init__(self, *args: Any, zh: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zh = zh

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """In the reader's language."""
        english = self.help
        if self.zh and reader_language(ctx) == "zh":
            self.help = self.zh
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = english


def option(*declarations: str, zh: str, **kwargs: Any) -> Callable[[_Function], _Function]:
    """``click.option`` with Chinese help."""
    return click.option(*declarations, cls=Option, zh=zh, **kwargs)


def _note(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Take over a global option wherever it stands: what stands later wins."""
    before = ctx.obj.asked if isinstance(ctx.obj, Context) else {}
    if value is not None and value != before.get(param.name):
        ctx.obj = Context.of(before | {str(param.name): value})
    elif not isinstance(ctx.obj, Context):
        ctx.obj = Context.of(before)
    return value


def global_options(*, hidden: bool) -> list[click.Parameter]:
    """--config, --state, --socket, --lang: every verb takes them too."""
    path = click.Path(path_type=Path)
    shared: dict[str, Any] = {"callback": _note, "expose_value": False, "hidden": hidden}
    return [
        Option(["--config"], type=path, metavar="FILE", help="the configuration file", zh="配置文件", **shared),
        Option(["--state"], type=path, metavar="FOLDER", help="the state folder", zh="状态目录", **shared),
        Option(["--socket"], metavar="FILE", help="the running gateway's control socket", zh="控制套接字", **shared),
        Option(
            ["--lang"],
            type=click.Choice(["zh", "en"]),
            is_eager=True,
            help="language of what people read",
            zh="界面语言",
            **shared,
        ),
    ]


class Worded(click.Command):
    """What click itself says of a command's usage and options, in the reader's language."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """``用法：`` where Chinese is read."""
        prefix = "用法：" if reader_language(ctx) == "zh" else None
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)), prefix)

    def write_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options alone, a group's verbs not."""
        chinese = reader_language(ctx) == "zh"
        records = [(parameter, parameter.get_help_record(ctx)) for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        shown = [(record[0], "显示本说明" if chinese and "--help" in parameter.opts else record[1]) for parameter, record in records if record]
        with formatter.section("选项" if chinese else "Options"):
            formatter.write_dl(shown)


class _Help(Worded):
    """Help with examples on top, in the reader's language; global options are not repeated."""

    zh: str = ""
    examples: Sequence[str] = ()

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Usage, examples, text, options."""
        self.format_usage(ctx, formatter)
        chinese = reader_language(ctx) == "zh"
        with formatter.section("示例" if chinese else "Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        text = self.zh if chinese else (self.help or "").split("\f")[0]
        for paragraph in text.split("\n\n"):
            formatter.write_paragraph()
            formatter.write_text(" ".join(paragraph.split()))
        self.format_options(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options; a noun adds its verbs."""
        self.write_options(ctx, formatter)

    def get_short_help_str(self, limit: int = 60) -> str:
        """One line for a group's list."""
        current = click.get_current_context(silent=True)
        if self.zh and current is not None and reader_language(current) == "zh":
            return self.zh.split("。")[0]
        return super().get_short_help_str(limit)


class Verb(_Help):
    """A verb."""

    def __init__(self, *args: Any, zh: str, examples: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zh, self.examples = zh, examples
        self.params += global_options(hidden=True)


class Verbs(_Help, click.Group):
    """A noun with verbs: ``violations list``."""

    def __init__(self, *args: Any, zh: str, examples: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zh, self.examples = zh, examples
        self.params += global_options(hidden=True)
        self.elsewhere: Mapping[str, tuple[str, str]] = {}  # verbs that are not given here, and who gives them: en, zh

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError with what to do where a verb is somebody else's."""
        if args and args[0] in self.elsewhere:
            en, zh = self.elsewhere[args[0]]
            raise click.UsageError(zh if reader_language(ctx) == "zh" else en, ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options, then the verbs."""
        self.write_options(ctx, formatter)
        rows = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        with formatter.section("命令" if reader_language(ctx) == "zh" else "Commands"):
            formatter.write_dl(rows)


def verb(name: str, *, zh: str, examples: Sequence[str]) -> Callable[[Callable[..., Any]], Verb]:
    """Makes a function a verb; its docstring is the English help, ``zh`` the Chinese one."""
    return click.command(name, cls=Verb, zh=zh, examples=examples)


def noun(name: str, *, zh: str, examples: Sequence[str]) -> Callable[[Callable[..., Any]], Verbs]:
    """Makes a function a noun that verbs are added to."""
    return click.group(name, cls=Verbs, zh=zh, examples=examples)


def picked(known: dict[str, Path], wanted: Sequence[str], what: str, code: str) -> dict[str, Path]:
    """Those that were named of what is known, or all. Raises ConfigError with the nearest name."""
    from edge_gateway.errors import ConfigError
    from edge_gateway.toml_errors import did_you_mean

    for id_ in wanted:
        if id_ not in known:
            raise ConfigError(f"no {what} '{id_}'", code=code, hint=did_you_mean(id_, known))
    return {id_: known[id_] for id_ in wanted} if wanted else known
