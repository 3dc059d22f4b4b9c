"""The tables of docs/reference/configuration.md, drawn from the models; descriptions the models lack come from the sample's remarks."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edge_gateway.config import model
from edge_gateway.derived.model import CounterConfig, DegreeMinutesConfig, DifferenceConfig, FlumeConfig, SumConfig
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.sinks.influxdb import Influx1Config, Influx2Config
from edge_gateway.sources.host import ContactSetting, HostConfig
from edge_gateway.sources.iio import IioConfig, LoopSetting
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.sources.onewire import OneWireConfig
from edge_gateway.sources.pulse import PulseConfig, PulseSetting

SAMPLE = Path(model.__file__).parents[1] / "gateway.toml"
TABLES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("[site]", model.SiteConfig),
    ("[clock]", model.ClockConfig),
    ("[journal]", model.JournalConfig),
    ("[signer]", model.SignerConfig),
    ("[page]", model.PageConfig),
    ("[records]", model.RecordsConfig),
    ("[phases.X]", model.PhaseItemConfig),
    ("[workday]", model.WorkdayConfig),
    ("[marks.X]", model.MarkTypeConfig),
    ("[zones.X]", model.ZoneConfig),
    ('[buses.X], kind = "rtu"', ModbusRtuConfig),
    ('[buses.X], kind = "tcp"', ModbusTcpConfig),
    ('[buses.X], kind = "mqtt"', MqttConfig),
    ('[buses.X], kind = "onewire"', OneWireConfig),
    ('[buses.X], kind = "pulse"', PulseConfig),
    ('[buses.X], kind = "iio"', IioConfig),
    ('[buses.X], kind = "host"', HostConfig),
    ("[devices.X]", model.DeviceConfig),
    ("[devices.X], contact = {…}", ContactSetting),
    ("[devices.X], loop = {…}", LoopSetting),
    ("[devices.X], pulse = {…}", PulseSetting),
    ("[points.X]", model.PointConfig),
    ('[derived.X], kind = "flume"', FlumeConfig),
    ('[derived.X], kind = "sum"', SumConfig),
    ('[derived.X], kind = "difference"', DifferenceConfig),
    ('[derived.X], kind = "degree-minutes"', DegreeMinutesConfig),
    ('[derived.X], kind = "counter"', CounterConfig),
    ("[rules]", model.RulesConfig),
    ("[rules.override.X]", model.Override),
    ("[outlets.X]", model.OutletConfig),
    ('[sinks.X], kind = "hub"', HubConfig),
    ('[sinks.X], kind = "influxdb1"', Influx1Config),
    ('[sinks.X], kind = "influxdb2"', Influx2Config),
)
#: What neither a model nor the sample says.
ELSEWHERE = {
    "backoff_first_s": "how long a silent unit, or a line that is gone, is rested at first",
    "backoff_most_s": "and at the most, after doubling",
    "connect_timeout_s": "how long to wait for the connection",
    "cert_file": "a client certificate (PEM); needs `ca_file`",
    "key_file": "its private key (PEM)",
    "client_id": "our session's name at the broker; by default made from bus and machine",
    "keepalive_s": "how often the broker hears of us when nothing else is said",
    "baud": "bits a second, as the devices are set",
    "parity": "as the devices are set",
    "stopbits": "as the devices are set",
    "gzip": "compress requests; by default all but those to this machine",
    "session_expiry_s": "how long the broker keeps messages while we are away",
    "retention_policy": "of the database; by default its own",
    "user": "name; goes with `password_file`",
    "password_file": "secret: a file, or the name of a systemd credential",
    "token_file": "secret: a file, or the name of a systemd credential",
    "ca_file": "certificates to trust (PEM); for a broker it turns TLS on",
    "url": "address; plain http for the hub only on this machine",
    "bus": '`via = "mqtt"`: which broker of [buses]',
    "via": "`http`, or `mqtt`",
    "org": "organisation",
    "bucket": "bucket",
    "database": "database",
    "host": "name or address",
    "port": "TCP port",
    "chip": "the board's inputs",
    "kind": "decides the table's other keys",
    "timeout_s": "how long to wait for an answer",
}


def tables() -> str:
    """All tables as Markdown."""
    return "\n".join(_table(heading, found) for heading, found in TABLES)


def _table(heading: str, found: type[BaseModel]) -> str:
    rows = [f"### `{heading}`", "", "| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in found.model_fields.items():
        default = "**required**" if field.is_required() else _default(field.get_default(call_default_factory=True))
        rows.append(f"| `{name}` | {_value(field)} | {default} | {_meaning(name, field)} |")
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if value in (None, ""):
        return ""
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    return f"`{value}`" if not isinstance(value, str) else f'`"{value}"`'


def _value(field: FieldInfo) -> str:
    node, bounds = field.annotation, list(field.metadata)
    while get_origin(node) in (Annotated, Union, types.UnionType):
        if get_origin(node) is Annotated:
            bounds += get_args(node)[1:]
            node = get_args(node)[0]
        else:
            node = next(member for member in get_args(node) if member is not type(None))
    if get_origin(node) is Literal:
        return " ".join(f'`"{item}"`' if isinstance(item, str) else f"`{item}`" for item in get_args(node))
    words = {str: "text", int: "whole number", float: "number", bool: "`true` `false`", tuple: "list of texts"}
    text = words.get(get_origin(node) or node, "text")
    low, high = _bound(bounds, "ge", "gt"), _bound(bounds, "le", "lt")
    return f"{text}, {low} to {high}" if low and high else text


def _bound(bounds: list[Any], *names: str) -> str:
    for bound in bounds:
        for constraint in (bound, *getattr(bound, "metadata", ())):
            for name in names:
                if (found := getattr(constraint, name, None)) is not None:
                    shown = str(int(found)) if found == int(found) else str(found)
                    return f"above {shown}" if name == "gt" else shown
    return ""


def _meaning(name: str, field: FieldInfo) -> str:
    text = field.description or _remarks().get(name) or ELSEWHERE.get(name, "")
    assert text, f"nobody says what '{name}' means"
    return text.replace("|", "\\|").replace("<", "&lt;")


def _remarks() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in SAMPLE.read_text(encoding="utf-8").splitlines():
        match = re.match(r"^([a-z_]+) = \S.*?\s{2,}# (.+)$", line)
        if match and match[1] not in ELSEWHERE:
            found.setdefault(match[1], match[2])
    return found
