"""`regulator-hub`: run the hub, register gateways; parses and prints, and leaves the work to others."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from edge_gateway.errors import ConfigError, GatewayError, JournalBusy, JournalTooNew
from edge_gateway.links.who import who
from edge_gateway.loading import leave_all, loading
from regulator_hub.cli_violations import violations
from regulator_hub.cli_words import EXIT_TROUBLE, config_option, sentence, state_option, trouble
from regulator_hub.steps import Steps

if TYPE_CHECKING:
    from regulator_hub.gateways import Registered
    from regulator_hub.store.reader import EpochRow

COMMAND_LINE = ParameterSource.COMMANDLINE
#: Exit codes: 1 trouble, 2 usage (click), 7 the state folder is in use, 78 `run` was given a configuration it refuses.
EXIT_BUSY, EXIT_CONFIG = 7, 78
_reason = click.option("--reason", default="", help="Why; goes on record (`regulator-hub steps`).")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-gateway", prog_name="regulator-hub")
def main() -> None:
    """The regulator's hub: entries in, receipts out, a live page.  监管端：接收记录，出具收据，显示实时页面。"""
    leave_all()


@main.command()
@config_option
@state_option
@click.option("--listen", help="HOST:PORT; wins over the file.")
@click.option("--speed", type=click.FloatRange(1, 1000), default=1.0, hidden=True, help="Scale the clock (demo).")
@click.option("--clock-origin-us", type=int, hidden=True, help="Where the scaled clock starts (demo).")
def run(
    file: Path | None, state_dir: Path | None, listen: str | None, speed: float, clock_origin_us: int | None
) -> None:
    """Run until SIGTERM. 运行监管端。"""
    with loading():
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


@main.group(invoke_without_command=True)
@config_option
@state_option
@click.pass_context
def gateways(context: click.Context, file: Path | None, state_dir: Path | None) -> None:
    """Which gateways may deliver, and which epochs wait for a person. 登记网关，确认新纪元。"""
    if context.invoked_subcommand is None:
        context.invoke(list_, file=file, state_dir=state_dir, as_json=False)
    elif context.get_parameter_source("file") is COMMAND_LINE or context.get_parameter_source("state_dir") is COMMAND_LINE:
        raise click.UsageError("--config and --state-dir stand behind the subcommand")


@gateways.command()
@click.argument("gateway")
@click.option(
    "--mqtt", is_flag=True, help="It may deliver over MQTT too: its token is then kept (0600), not only its hash."
)
@_reason
@config_option
@state_option
def add(gateway: str, mqtt: bool, reason: str, file: Path | None, state_dir: Path | None) -> None:
    """Register GATEWAY and print its token, once. 登记网关，令牌只显示一次。"""
    from regulator_hub.gateways import Gateways

    with trouble():
        registry = Gateways(_folder(file, state_dir))
        token = registry.add(gateway, mqtt=mqtt, wall_us=time.time_ns() // 1000)
        _noted("gateway-added", gateway, None, {"mqtt": mqtt}, reason or "registered", file, state_dir)
    print(token)
    click.echo(
        f"Put it into the gateway's token file; it is not shown again. 请保存到网关 {gateway} 的令牌文件。", err=True
    )


@gateways.command()
@click.argument("gateway")
@click.argument("vkey")
@click.option("--replace", is_flag=True, help="Its signer was given a new key: from now on that one counts.")
@_reason
@config_option
@state_option
def key(gateway: str, vkey: str, replace: bool, reason: str, file: Path | None, state_dir: Path | None) -> None:
    """Register VKEY, the key of GATEWAY's signer, brought by a person. 登记网关签名公钥（由人员另行带来）。

    It is the line that `edge-gateway signer key` prints there. Checkpoints signed by it, and by no other, are cosigned. With
    the first key you accept the epochs that the hub knows of the gateway by now, or the first one that comes.
    """
    from regulator_hub.gateways import Gateways

    if replace and not reason.strip():
        raise click.UsageError("--replace wants --reason: why the signer has a new key. --replace 需要 --reason")
    with trouble():
        registry, now_us = Gateways(_folder(file, state_dir)), time.time_ns() // 1000
        known = [epoch.epoch for epoch in _epochs(file, state_dir, gateway)]
        before = registry.find(gateway)
        new = registry.give_key(gateway, vkey, replace=replace, wall_us=now_us, by=who(), known=known)
        if new:
            old = before.keys[-1][0] if before is not None and before.keys else None
            _noted("gateway-key", gateway, old, vkey, reason or "registered", file, state_dir)
    said = ("registered", "已登记") if new else ("registered already", "此前已登记")
    print(f"{gateway}: {said[0]} {said[1]}")


@gateways.command()
@click.argument("gateway")
@click.argument("epoch")
@click.option("--reason", required=True, help="Why it is in order: new hardware, a disk that failed, …")
@config_option
@state_option
def accept(gateway: str, epoch: str, reason: str, file: Path | None, state_dir: Path | None) -> None:
    """Accept EPOCH of GATEWAY: from now on it is cosigned. 确认网关的新纪元，此后予以联署。

    `regulator-hub gateways` lists what waits. Look first why the gateway began a new one, and what it names of the one before.
    """
    from regulator_hub.gateways import Gateways

    with trouble():
        registry = Gateways(_folder(file, state_dir))
        if epoch not in {each.epoch for each in _epochs(file, state_dir, gateway)}:
            hint = "`regulator-hub gateways` lists what waits"
            raise ConfigError(f"the hub holds no epoch '{epoch}' of gateway '{gateway}'", hint=hint)
        new = registry.accept(gateway, epoch, by=who(), reason=reason, wall_us=time.time_ns() // 1000)
        if new:
            _noted("epoch-accepted", f"{gateway}/{epoch}", "pending", "accepted", reason, file, state_dir)
    said = ("accepted", "已确认") if new else ("accepted already", "此前已确认")
    print(f"{gateway} {epoch}: {said[0]} {said[1]}")


@gateways.command("list")
@config_option
@state_option
@click.option("--json", "as_json", is_flag=True)
def list_(file: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """List registered gateways, and epochs that wait for a person. 列出已登记的网关与待确认的纪元。"""
    import orjson

    from regulator_hub.gateways import Gateways

    with trouble():
        found = Gateways(_folder(file, state_dir)).list()
        waits = {item.id: _waiting(file, state_dir, item) for item in found}
    if as_json:
        items = [
            {
                "gateway": i.id, "added_us": i.added_us, "mqtt": bool(i.token), "key": i.keys[-1][0] if i.keys else None,
                "pending": waits[i.id], "accepted": [asdict(each) for each in i.accepted],
            }
            for i in found
        ]  # fmt: skip
        print(orjson.dumps({"gateways": items}).decode())
        return
    for item in found:
        added = datetime.fromtimestamp(item.added_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
        key = item.keys[-1][0] if item.keys else "no key: never cosigned 无公钥，不予联署"
        print(f"{item.id:<32}  {added}  {'http mqtt' if item.token else 'http':<9}  {key}")
        for epoch in waits[item.id]:
            print(f"  pending 待确认 {epoch}: regulator-hub gateways accept {item.id} {epoch}")
    if not found:
        click.echo("No gateway is registered: regulator-hub gateways add ID. 尚未登记网关。", err=True)


@main.command("key")
@config_option
@state_option
def own_key(file: Path | None, state_dir: Path | None) -> None:
    """Print the key by which others verify this hub's cosignatures. 显示本监管端的联署公钥。"""
    from regulator_hub.config import load
    from regulator_hub.cosigner import Cosigner

    with trouble():
        config = load(file, state_dir=state_dir)
        own = Cosigner(config.witness_folder, config.name, born=False).key
    print(own)
    click.echo(f"fingerprint 指纹  {own.fingerprint}", err=True)


@main.command("command-key")
@config_option
@state_option
def command_key(file: Path | None, state_dir: Path | None) -> None:
    """Print the key of this hub's commands, for `command_vkey` at each gateway. 显示本监管端的指令公钥。"""
    from regulator_hub.commander import Commander
    from regulator_hub.config import load

    with trouble():
        config = load(file, state_dir=state_dir)
        own = Commander(config.witness_folder, config.name, born=False).key
    print(own)
    click.echo(f"fingerprint 指纹  {own.fingerprint}", err=True)


main.add_command(violations)


@main.command()
@config_option
@state_option
@click.option("--json", "as_json", is_flag=True)
def steps(file: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """What persons did here, and what each start changed of the configuration: who, when, old, new, why. 操作记录。"""
    import orjson

    with trouble():
        found = Steps(_folder(file, state_dir).parent).list()
    if as_json:
        print(orjson.dumps({"steps": found}).decode())
        return
    for step in found:
        at = datetime.fromtimestamp(step["at_us"] / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        change = f"{orjson.dumps(step['old']).decode()} → {orjson.dumps(step['new']).decode()}"
        print(f"{at}  {step['by']}  {step['what']} {step['about']}  {change}  ({step['why']})")


def _folder(file: Path | None, state_dir: Path | None) -> Path:
    from regulator_hub.config import load

    return (state_dir or load(file).state_dir) / "gateways"


def _epochs(file: Path | None, state_dir: Path | None, gateway: str) -> list[EpochRow]:
    """What the hub's store knows of a gateway's epochs, oldest first; the hub may be running."""
    from regulator_hub.store.reader import epochs
    from regulator_hub.store.schema import open_reader

    path = _folder(file, state_dir).parent / "hub.sqlite"
    if not path.exists():
        return []
    db = open_reader(path)
    try:
        return epochs(db, gateway)
    finally:
        db.close()


def _waiting(file: Path | None, state_dir: Path | None, registered: Registered) -> list[str]:
    from regulator_hub.acceptance import waiting
    from regulator_hub.config import load
    from regulator_hub.cosigned import read
    from regulator_hub.cosigner import COSIGNED

    folder = load(file, state_dir=state_dir).witness_folder / COSIGNED
    return waiting(registered, _epochs(file, state_dir, registered.id), read(folder, registered.id).logs)


def _noted(what: str, about: str, old: object, new: object, why: str, file: Path | None, state_dir: Path | None) -> None:
    folder = _folder(file, state_dir).parent
    Steps(folder).note(what, about, old=old, new=new, why=why, wall_us=time.time_ns() // 1000)


def _say(group: BaseExceptionGroup[BaseException], code: int) -> int:
    for error in _leaves(group):
        for fault in getattr(error, "faults", [error]):
            click.echo(f"regulator-hub: {sentence(fault)}", err=True)
    return code


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


if __name__ == "__main__":
    main()
