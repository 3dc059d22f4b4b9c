"""What gateway.toml may say. Each part's table is the part's own model; this union is the list of parts."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edge_gateway.profiles.model import Identifier, ProfileId
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.sinks.influxdb import Influx1Config, Influx2Config
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.mqtt import MqttConfig

Stage = Literal["intake", "quarantine", "washing", "wastewater", "dispatch", "storage"]
ZoneKind = Literal[
    "frozen-store", "chilled-store", "pre-cooling", "cutting-room", "cleaning-line", "steriliser", "outlet"
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SiteConfig(_Table):
    """The establishment and its gateway: one id for both, permanent."""

    id: Identifier
    origin: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*\.[a-z]{2,}(/[a-z0-9-]+)*$", description="domain-like, set once")
    name_zh: str
    name_en: str
    timezone: str = "Asia/Shanghai"

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"'{name}' is no time zone; use a name such as Asia/Shanghai") from error
        return name


class ClockConfig(_Table):
    """Who vouches for wall time. ``speed`` and ``origin_us`` scale it, for demonstrations only."""

    trust: Literal["kernel", "declared"] = "kernel"
    hold_s: float = Field(default=86_400.0, ge=0)
    speed: float = Field(default=1.0, ge=1.0, le=1000.0)
    origin_us: int | None = None


_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(%|KB|MB|GB|TB)$")
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class JournalConfig(_Table):
    """How much the record may take, and how often it is committed."""

    max_bytes: str = "60%"
    commit_every_s: float = Field(default=5.0, ge=0.05, le=60.0)

    @field_validator("max_bytes")
    @classmethod
    def _size(cls, text: str) -> str:
        match = _SIZE.match(text)
        if match is None or (match[2] == "%" and not 0 < float(match[1]) <= 95):
            raise ValueError(f'\'{text}\' is no size; write a share of the disk such as "60%" or a size such as "20GB"')
        return text

    def bytes_on(self, folder: Path) -> int:
        """The bound in bytes, for a state folder on this disk."""
        match = _SIZE.match(self.max_bytes)
        if match is None:  # the validator has seen to it
            raise ValueError(self.max_bytes)
        if match[2] == "%":
            return int(shutil.disk_usage(folder).total * float(match[1]) / 100)
        return int(float(match[1]) * _UNITS[match[2]])


class PageConfig(_Table):
    """The local page. An empty ``listen`` turns it off."""

    listen: str = Field(default="127.0.0.1:8080", pattern=r"^$|^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")
    language: Literal["zh", "en"] = "zh"


class ZoneConfig(_Table):
    """A place: what it is decides which rules watch its points."""

    stage: Stage
    kind: ZoneKind
    name_zh: str = ""
    name_en: str = ""


class DeviceConfig(_Table):
    """What answers on a bus. A Modbus device has ``unit`` and ``interval_s``, a message device ``topic``."""

    bus: Identifier
    profile: ProfileId
    unit: int | None = Field(default=None, ge=0, le=255)
    interval_s: float | None = Field(default=None, gt=0, le=86_400)
    topic: str | None = Field(default=None, min_length=1, max_length=512)
    expect_every_s: float | None = Field(default=None, gt=0, le=604_800)


class PointConfig(_Table):
    """One quantity at one place. ``select`` names the probe where one message carries several."""

    device: Identifier
    channel: Identifier
    zone: Identifier
    name_zh: str = ""
    name_en: str = ""
    select: str = ""
    interval_s: float | None = Field(default=None, gt=0, le=86_400)
    decimals: int | None = Field(default=None, ge=0, le=9)
    renamed_from: Identifier | None = None


class RulesConfig(_Table):
    """Which rule packs watch this site."""

    packs: tuple[Identifier, ...] = ("cold-chain", "cleaning-water", "wastewater")


class OutletConfig(_Table):
    """Limits of a wastewater outlet, from the site's discharge permit (排污许可证)."""

    zone: Identifier
    permit: str = ""
    permit_date: str = Field(default="", pattern=r"^$|^\d{4}-\d{2}-\d{2}$")
    ph_low: float | None = None
    ph_high: float | None = None
    cod_mg_l: float | None = Field(default=None, gt=0)
    ammonia_mg_l: float | None = Field(default=None, gt=0)
    temperature_cel: float | None = None
    flow_m3_h: float | None = Field(default=None, gt=0)


BusConfig = Annotated[ModbusTcpConfig | ModbusRtuConfig | MqttConfig, Field(discriminator="kind")]
SinkConfig = Annotated[HubConfig | Influx1Config | Influx2Config, Field(discriminator="kind")]


class GatewayConfig(_Table):
    """The whole configuration, merged from all files."""

    site: SiteConfig
    clock: ClockConfig = ClockConfig()
    journal: JournalConfig = JournalConfig()
    page: PageConfig = PageConfig()
    zones: dict[Identifier, ZoneConfig] = Field(default_factory=dict)
    buses: dict[Identifier, BusConfig] = Field(default_factory=dict)
    devices: dict[Identifier, DeviceConfig] = Field(default_factory=dict)
    points: dict[Identifier, PointConfig] = Field(default_factory=dict)
    rules: RulesConfig = RulesConfig()
    outlets: dict[Identifier, OutletConfig] = Field(default_factory=dict)
    sinks: dict[Identifier, SinkConfig] = Field(default_factory=dict)
