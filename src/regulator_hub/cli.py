"""`regulator-hub`: run the hub, register gateways; parses and prints, and leaves the work to others."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from edge_gateway.errors import ConfigError, GatewayError, JournalBusy, JournalTooNew

#: Exit codes: 1 trouble, 2 usage (click), 7 the state folder is in use, 78 `run` was given a configuration it refuses.
EXIT_TROUBLE, EXIT_BUSY, EXIT_CONFIG = 1, 7, 78

_config = click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), envvar="REGULATOR_HUB_CONFIG",
    help="hub.toml (default: /etc/regulator-hub/hub.toml if it exists).",
)  # fmt: skip
_state = click.option(
    "--state-dir", type=click.Path(file_okay=False, path_type=Path), envvar="REGULATOR_HUB_STATE_DIR",
    help="Where the record lies; wins over the file.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-gateway", prog_name="regulator-hub")
def main() -> None:
    """The regulator's hub: entries in, receipts out, a live page.  监管端：接收记录，出具收据，显示实时页面。"""


@main.command()
@_config
@_state
@click.option("--listen", help="HOST:PORT; wins over the file.")
@click.option("--speed", type=click.FloatRange(1, 1000), default=1.0, hidden=True, help="Scale the clock (demo).")
@click.option("--clock-origin-us", type=int, hidden=True, help="Where the scaled clock starts (demo).")
def run(
    file: Path | None, state_dir: Path | None, listen: str | None, speed: float, clock_origin_us: int | None
) -> None:
    """Run until SIGTERM. 运行监管端。"""
    from edge_gateway.clock import SystemClock
    from edge_gateway.links.logs import set_up_logging
    from regulator_hub import app
    from regulator_hub.config import load

    set_up_logging("WARNING")
    try:
        config = load(file, state_dir=state_dir, listen=listen)
        clock = SystemClock(declared=speed != 1.0, speed=speed, origin_us=clock_origin_us)
        asyncio.run(app.run(config, clock, lambda address: print(f"regulator-hub: listening on {address}", flush=True)))
    except* ConfigError as group:
        sys.exit(_say(group, EXIT_CONFIG))
    except* JournalBusy as group:
        sys.exit(_say(group, EXIT_BUSY))
    except* (JournalTooNew, GatewayError) as group:
        sys.exit(_say(group, EXIT_TROUBLE))


@main.group()
def gateways() -> None:
    """Which gateways may deliver. 登记网关。"""


@gateways.command()
@click.argument("gateway")
@click.option(
    "--mqtt", is_flag=True, help="It may deliver over MQTT too: its token is then kept (0600), not only its hash."
)
@_config
@_state
def add(gateway: str, mqtt: bool, file: Path | None, state_dir: Path | None) -> None:
    """Register GATEWAY and print its token, once. 登记网关，令牌只显示一次。"""
    from regulator_hub.gateways import Gateways

    with _trouble():
        registry = Gateways(_folder(file, state_dir))
        token = registry.add(gateway, mqtt=mqtt, wall_us=time.time_ns() // 1000)
    print(token)
    click.echo(
        f"Put it into the gateway's token file; it is not shown again. 请保存到网关 {gateway} 的令牌文件。", err=True
    )


@gateways.command()
@click.argument("gateway")
@click.argument("vkey")
@click.option("--replace", is_flag=True, help="Its signer was given a new key: from now on that one counts.")
@_config
@_state
def key(gateway: str, vkey: str, replace: bool, file: Path | None, state_dir: Path | None) -> None:
    """Register VKEY, the key of GATEWAY's signer, brought by a person. 登记网关签名公钥（由人员另行带来）。

    It is the line that `edge-gateway signer key` prints there. Checkpoints signed by it, and by no other, are cosigned.
    """
    from regulator_hub.gateways import Gateways

    with _trouble():
        registry = Gateways(_folder(file, state_dir))
        new = registry.give_key(gateway, vkey, replace=replace, wall_us=time.time_ns() // 1000)
    said = ("registered", "已登记") if new else ("registered already", "此前已登记")
    print(f"{gateway}: {said[0]} {said[1]}")


@gateways.command("list")
@_config
@_state
@click.option("--json", "as_json", is_flag=True)
def list_(file: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """List registered gateways. 列出已登记的网关。"""
    import orjson

    from regulator_hub.gateways import Gateways

    with _trouble():
        found = Gateways(_folder(file, state_dir)).list()
    if as_json:
        items = [
            {"gateway": i.id, "added_us": i.added_us, "mqtt": bool(i.token), "key": i.keys[-1][0] if i.keys else None}
            for i in found
        ]
        print(orjson.dumps({"gateways": items}).decode())
        return
    for item in found:
        added = datetime.fromtimestamp(item.added_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
        key = item.keys[-1][0] if item.keys else "no key: never cosigned 无公钥，不予联署"
        print(f"{item.id:<32}  {added}  {'http mqtt' if item.token else 'http':<9}  {key}")
    if not found:
        click.echo("No gateway is registered: regulator-hub gateways add ID. 尚未登记网关。", err=True)


@main.command("key")
@_config
@_state
def own_key(file: Path | None, state_dir: Path | None) -> None:
    """Print the key by which others verify this hub's cosignatures. 显示本监管端的联署公钥。"""
    from regulator_hub.config import load
    from regulator_hub.cosigner import Cosigner

    with _trouble():
        config = load(file, state_dir=state_dir)
        print(Cosigner(config.witness_folder, config.name, born=False).key)


def _folder(file: Path | None, state_dir: Path | None) -> Path:
    from regulator_hub.config import load

    return (state_dir or load(file).state_dir) / "gateways"


class _trouble:  # noqa: N801 -- reads as a statement
    """Ends the program with a sentence for trouble that a person can mend."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (GatewayError, OSError)):
            click.echo(f"regulator-hub: {_sentence(error)}", err=True)
            sys.exit(EXIT_TROUBLE)


def _say(group: BaseExceptionGroup[BaseException], code: int) -> int:
    for error in _leaves(group):
        for fault in getattr(error, "faults", [error]):
            click.echo(f"regulator-hub: {_sentence(fault)}", err=True)
    return code


def _sentence(error: BaseException) -> str:
    """Where, why and what to do, in the reader's language: that of REGULATOR_HUB_LANG, LC_ALL, LC_MESSAGES or LANG."""
    names = ("REGULATOR_HUB_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    language = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if language.lower().startswith("zh") and isinstance(error, GatewayError):
        from edge_gateway.web.chinese import chinese

        error.why, error.hint = chinese(error.why), chinese(error.hint)
    return str(error)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


if __name__ == "__main__":
    main()
