"""Who takes a step, as options of a verb: a name that is only claimed, or a person with a secret of their own; never a secret on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edge_gateway.cli.verbs import Context, option
from edge_gateway.errors import GatewayError

_Function = TypeVar("_Function", bound=Callable[..., Any])
#: A secret has fewer characters; a file that is longer is another file.
_MOST_BYTES = 1024


class NoSecret(GatewayError):
    """Nobody can be asked for the secret: name a file, or `-` for standard input."""

    exit_code = 2


def person_options(function: _Function) -> _Function:
    """``--as NAME`` with its secret, or ``--by NAME``: the function's ``as_``, ``secret_file``, ``by`` are for ``said``."""
    path = click.Path(path_type=Path, allow_dash=True)
    declared = (
        option("--by", metavar="NAME", help="whose step this is, as a claim; without it, your OS user's", zh="处理人姓名（仅为声明）；省略时为系统用户"),
        option("--secret-file", type=path, metavar="FILE", help="the secret of --as; - for standard input; else it is asked for", zh="--as 的口令文件；- 表示标准输入；省略时提示输入"),
        option("--as", "as_", metavar="NAME", help="prove who you are by your own secret (see `people`)", zh="以个人口令证明身份（见 people）"),
    )  # fmt: skip
    for each in declared:
        function = each(function)
    return function


def said(ctx: Context, as_: str | None, secret_file: Path | None, by: str | None) -> dict[str, Any]:
    """What the gateway is told of the person. Raises NoSecret, click.UsageError."""
    if as_ and by:
        raise click.UsageError(ctx.say("--as proves who you are, --by only claims it: one of them", "--as 为证明，--by 为声明，只能用其一"))
    if not as_:
        return {"name": by} if by else {}
    return {"as": as_, "secret": secret(ctx, secret_file, ctx.say(f"Secret of {as_}", f"{as_} 的口令"))}


def secret(ctx: Context, file: Path | None, prompt: str, *, twice: bool = False) -> str:
    """A secret out of a file, standard input, or what somebody types unseen. Raises NoSecret."""
    if file is not None:
        try:
            with (sys.stdin.buffer if str(file) == "-" else file.open("rb")) as data:
                read = data.read(_MOST_BYTES + 1)
            if len(read) > _MOST_BYTES:
                raise NoSecret(f"{file} holds more than a secret: more than {_MOST_BYTES} bytes")
            text = read.decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise NoSecret(f"the secret in {file} cannot be read: {error}") from None
        return text
    if not sys.stdin.isatty():
        raise NoSecret(
            ctx.say("nobody is there to be asked for the secret", "无法提示输入口令"),
            hint=ctx.say("--secret-file FILE, or - for standard input", "请用 --secret-file 文件，或 - 表示标准输入"),
        )
    typed: str = click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True)
    return typed
