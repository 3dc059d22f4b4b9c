"""What every verb of `regulator-hub` says alike: its options for files, and trouble in one sentence; knows no verb."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from edge_gateway.errors import GatewayError

EXIT_TROUBLE = 1

config_option = click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), envvar="REGULATOR_HUB_CONFIG",
    help="hub.toml (default: /etc/regulator-hub/hub.toml if it exists).",
)  # fmt: skip
state_option = click.option(
    "--state-dir", type=click.Path(file_okay=False, path_type=Path), envvar="REGULATOR_HUB_STATE_DIR",
    help="Where the record lies; wins over the file.",
)  # fmt: skip


class trouble:  # noqa: N801 -- reads as a statement
    """Ends the program with a sentence for trouble that a person can mend."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (GatewayError, OSError)):
            click.echo(f"regulator-hub: {sentence(error)}", err=True)
            sys.exit(EXIT_TROUBLE)


def sentence(error: BaseException) -> str:
    """Where, why and what to do, in the reader's language: that of REGULATOR_HUB_LANG, LC_ALL, LC_MESSAGES or LANG."""
    names = ("REGULATOR_HUB_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    language = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if language.lower().startswith("zh") and isinstance(error, GatewayError):
        from edge_gateway.web.chinese import chinese

        error.why, error.hint = chinese(error.why), chinese(error.hint)
    return str(error)
