"""What gateway.toml may say. Each part's table is the part's own model; this union is the list of parts."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from edge_gateway.derived.model import DerivedConfig
from edge_gateway.marks import TYPES
from edge_gateway.profiles.model import Identifier, ProfileId
from edge_gateway.rules.model_base import decimal_text
from edge_gateway.rules.sealed import keys_of
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.sinks.influxdb import Influx1Config, Influx2Config
from edge_gateway.sources.host import ContactSetting, HostConfig
from edge_gateway.sources.iio import IioConfig, LoopSetting
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.sources.onewire import OneWireConfig, Probe
from edge_gateway.sources.pulse import PulseConfig, PulseSetting

Stage = Literal["intake", "quarantine", "washing", "wastewater", "dispatch", "storage"]
ZoneKind = Literal[
    "frozen-store", "chilled-store", "pre-cooling", "cutting-room", "cleaning-line", "steriliser", "outlet"
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_ORIGIN = re.compile(r"^[a-z0-9][a-z0-9.-]*\.[a-z]{2,}(/[a-z0-9-]+)*$")


class SiteConfig(_Table):
    """The establishment and its gateway: one id for both, permanent."""

    id: Identifier = Field(description="the establishment's and gateway's id, permanent")
    origin: str = Field(
        max_length=64,
        description="domain-like name of who runs it, set once; names the record's origin",
    )
    name_zh: str = Field(max_length=128, description="what people read, in Chinese")
    name_en: str = Field(max_length=128, description="what people read, in English")
    timezone: str = Field(
        default="Asia/Shanghai", max_length=64, description="shown beside every time; records are kept in UTC"
    )

    @field_validator("origin")
    @classmethod
    def _domain_like(cls, name: str) -> str:
        if not _ORIGIN.match(name):
            raise ValueError(f'"{name}" is no origin; write a name of your own domain, such as "example.org/xj"')
        return name

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f'"{name}" is no time zone; use a name such as "Asia/Shanghai"') from error
        return name


class ClockConfig(_Table):
    """Who vouches for wall time. ``speed`` and ``origin_us`` scale it, for demonstrations only."""

    trust: Literal["kernel", "declared"] = Field(
        default="kernel", description="kernel: its synchronisation state; declared: someone else keeps the host's time"
    )
    hold_s: float = Field(
        default=86_400.0,
        ge=0,
        le=31 * 86_400,
        description="how long InfluxDB waits for the correction of an untrusted boot",
    )
    speed: float = Field(default=1.0, ge=1.0, le=1000.0, description="for demonstrations: how fast time passes")
    origin_us: int | None = Field(
        default=None, description="for demonstrations: real wall time at which it is scaled from"
    )


_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(%|KB|MB|GB|TB)$")
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_LEAST_BYTES = 10**6


class JournalConfig(_Table):
    """How much the record may take, and how often it is committed."""

    max_bytes: str = Field(default="60%", description='of the disk with the state folder, or a size such as "20GB"')
    keep_days: int = Field(
        default=730, ge=1, le=36_500,
        description="how long the record stays at least, room permitting; a lower number takes effect by `journal shorten` only",
    )
    commit_every_s: float = Field(
        default=5.0, ge=0.05, le=60.0, description="1 on SSD and eMMC, 5 on an SD card (wear)"
    )

    @field_validator("max_bytes")
    @classmethod
    def _size(cls, text: str) -> str:
        match = _SIZE.match(text)
        if match is None or (match[2] == "%" and not 0 < float(match[1]) <= 95):
            raise ValueError(f'"{text}" is no size; write a share of the disk such as "60%" or a size such as "20GB"')
        if match[2] != "%" and float(match[1]) * _UNITS[match[2]] < _LEAST_BYTES:
            raise ValueError(f'"{text}" is too small for a record; give it "1MB" at the very least')
        return text

    def bytes_on(self, folder: Path) -> int:
        """The bound in bytes, for a state folder on this disk."""
        match = _SIZE.match(self.max_bytes)
        if match is None:  # the validator has seen to it
            raise ValueError(self.max_bytes)
        if match[2] == "%":
            return int(shutil.disk_usage(folder).total * float(match[1]) / 100)
        return int(float(match[1]) * _UNITS[match[2]])


class SignerConfig(_Table):
    """Who signs the record: a process of its own, reached over a Unix socket. An empty ``socket``: nobody does."""

    socket: str = Field(default="", max_length=100, description="of the running edge-gateway-signer; \"\" for no signatures")


class PageConfig(_Table):
    """The local page. An empty ``listen`` turns it off."""

    listen: str = Field(
        default="127.0.0.1:8080", description='address:port, loopback until configured otherwise; "" turns the page off'
    )
    language: Literal["zh", "en"] = Field(default="zh", description="a browser's own choice wins")

    @field_validator("listen")
    @classmethod
    def _address(cls, text: str) -> str:
        host, _, port = text.rpartition(":")
        if text and not (host and port.isascii() and port.isdigit() and not re.search(r"\s|/", host)):
            raise ValueError(f'"{text}" is no address; write address:port such as "127.0.0.1:8080", or "" for no page')
        if text and int(port) > 65_535:
            raise ValueError(f"port {port} is beyond 65535; choose one from 1024 to 65535")
        return text


class ZoneConfig(_Table):
    """A place: what it is decides which rules watch its points."""

    stage: Stage = Field(description="which control point of the work it belongs to")
    kind: ZoneKind = Field(description="what kind of place it is")
    name_zh: str = Field(default="", max_length=128, description="what people read, in Chinese")
    name_en: str = Field(default="", max_length=128, description="what people read, in English")


class DeviceConfig(_Table):
    """What answers on a bus. A Modbus device has ``unit`` and ``interval_s``, a message device ``topic``.

    A device of this machine's own has no profile: its bus' kind names the key that says what it is.
    """

    bus: Identifier = Field(description="which of [buses] it is on")
    profile: ProfileId = Field(default="", description="Modbus and MQTT: drivers/<vendor>/<model>.toml")
    unit: int | None = Field(default=None, ge=0, le=255, description="Modbus: the address")
    interval_s: float | None = Field(default=None, ge=0.01, le=86_400, description="how often it is read; all but MQTT")
    topic: str | None = Field(
        default=None, min_length=1, max_length=512, description="MQTT: the one topic it speaks on"
    )
    expect_every_s: float | None = Field(
        default=None, ge=0.01, le=604_800, description="MQTT: silence beyond it becomes visible"
    )
    probe: Probe | None = Field(default=None, description="onewire: the probe's number, as the kernel's folder names it")
    contact: ContactSetting | None = Field(default=None, description="host: a contact on an input of the board")
    loop: LoopSetting | None = Field(default=None, description="iio: a 4-20 mA loop's input and span")
    pulse: PulseSetting | None = Field(default=None, description="pulse: where a meter's pulses are counted, what one is worth")


def _uncertainty(text: str) -> str:
    if text and (Decimal(text) <= 0):
        raise ValueError(f"an uncertainty is more than 0, not {text}")
    return text


#: Decimal text of a limit.
Limit = Annotated[str, Field(max_length=24), AfterValidator(decimal_text)]
#: Decimal text, so that the record has what was written; "": not known.
Uncertainty = Annotated[str, Field(max_length=24), AfterValidator(lambda text: _uncertainty(decimal_text(text)) if text else text)]


class PointConfig(_Table):
    """One quantity at one place. ``select`` names the probe where one message carries several."""

    device: Identifier = Field(description="which of [devices] measures it")
    channel: Identifier = Field(description="a channel of the device's profile")
    zone: Identifier = Field(description="which of [zones] it is in")
    name_zh: str = Field(default="", max_length=128, description="what people read, in Chinese")
    name_en: str = Field(default="", max_length=128, description="what people read, in English")
    select: str = Field(default="", max_length=64, description="MQTT: which of several probes, by its own id")
    interval_s: float | None = Field(default=None, ge=0.01, le=86_400, description="all but MQTT: other than the device's")
    decimals: int | None = Field(default=None, ge=0, le=9, description="how many are shown; the profile's by default")
    uncertainty: Uncertainty = Field(
        default="", description="of the probe as it is calibrated, as text in the point's unit such as \"0.5\"; a rule with a guard band decides nothing so near its limit"
    )
    means: Literal["", "mains"] = Field(default="", description="of a contact: what it tells. `mains`: 1 while the site's power is there")
    renamed_from: Identifier | None = Field(default=None, description="the id that this point had before")


class Override(_Table):
    """A site's own numbers for one rule: tighter than the pack's where its limit is verified, the operator's value elsewhere."""

    low: Limit | None = Field(default=None, description="lower limit, in the rule's unit; its hysteresis keeps its width")
    high: Limit | None = Field(default=None, description="upper limit, the same")
    notice_after_s: float | None = Field(default=None, ge=0, le=31 * 86_400, description="delay of the notice")
    violation_after_s: float | None = Field(default=None, ge=0, le=31 * 86_400, description="delay of the violation; a rule that only gave notices then has violations")
    clear_after_s: float | None = Field(default=None, ge=0, le=31 * 86_400, description="how long it must be well before it is over")
    unknown_after_s: float | None = Field(default=None, ge=0, le=31 * 86_400, description="how long readings may be missing")
    undecided_after_s: float | None = Field(default=None, ge=0, le=31 * 86_400, description="how long it may be undecided")
    most: Limit | None = Field(default=None, description="spread: how far apart")
    most_minutes: Limit | None = Field(default=None, description="exposure: minutes")
    most_degree_minutes: Limit | None = Field(default=None, description="exposure: degree-minutes")
    per_s: Limit | None = Field(default=None, description="rate: change a second")
    within_s: float | None = Field(default=None, gt=0, le=31 * 86_400, description="descent, sequence: in which time")
    rise: Limit | None = Field(default=None, description="descent: how far it may rise")
    after_s: float | None = Field(default=None, gt=0, le=31 * 86_400, description="stale, flat: for how long")
    factor: float | None = Field(default=None, ge=1, le=1000, description="stale: how many intervals")
    excuse_most_s: float | None = Field(default=None, gt=0, le=86_400, description="for how long defrost or door excuse")
    excuse_peak: Limit | None = Field(default=None, description="beyond what nothing is excused")
    guard: bool | None = Field(default=None, description="within the probe's uncertainty nothing is decided")
    armed_in: tuple[Literal["pre-start", "production", "closing", "closed"], ...] | None = Field(default=None, description="phases in which it is armed; none: always")


class RulesConfig(_Table):
    """Which rule packs watch this site."""

    packs: tuple[Identifier, ...] = Field(
        default=("cold-chain", "cleaning-water", "wastewater"), description="rules/<pack>.toml, in this order"
    )
    override: dict[Identifier, Override] = Field(default_factory=dict, description="by rule: the site's own numbers; numbers are texts such as \"-20\"")
    require_signed: bool = Field(default=False, description="a pack without a signature by one of keys is refused")
    keys: tuple[str, ...] = Field(default=(), description="who may sign packs: keys as `rules sign` prints them")
    state: dict[Identifier, Literal["draft", "shadow", "enforced"]] = Field(
        default_factory=dict, description="by pack, enforced by default; shadow judges and counts, and reports nothing; draft is not counted either"
    )


    @field_validator("keys")
    @classmethod
    def _are_keys(cls, vkeys: tuple[str, ...]) -> tuple[str, ...]:
        keys_of(vkeys)
        return vkeys

    @model_validator(mode="after")
    def _some_key(self) -> RulesConfig:
        if self.require_signed and not self.keys:
            raise ValueError("require_signed needs keys: by whom?")
        return self


def _date(value: Any) -> Any:
    """A date without quotes is TOML's own kind of value: the same day."""
    return value.isoformat() if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else value


def _is_date(text: str) -> str:
    try:
        if text:
            dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text}" is no date; write year-month-day, such as "2025-06-01"') from None
    return text


class OutletConfig(_Table):
    """Limits of a wastewater outlet, from the site's discharge permit (排污许可证)."""

    zone: Identifier = Field(description="which of [zones], of kind outlet")
    permit: str = Field(default="", max_length=128, description="the permit's number")
    permit_date: Annotated[str, BeforeValidator(_date)] = Field(default="", description="year-month-day of the permit")
    permit_until: Annotated[str, BeforeValidator(_date)] = Field(default="", description="the last day of the permit")
    document_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of the permit's document, as it is kept")
    checked_by: str = Field(default="", max_length=64, description="who compared these figures with the document: a second person")
    ph_low: float | None = Field(default=None, ge=0, le=14, description="pH, lower limit")
    ph_high: float | None = Field(default=None, ge=0, le=14, description="pH, upper limit")
    cod_mg_l: float | None = Field(default=None, gt=0, le=1e6, description="chemical oxygen demand, mg/L")
    ammonia_mg_l: float | None = Field(default=None, gt=0, le=1e6, description="ammonia nitrogen, mg/L")
    temperature_cel: float | None = Field(default=None, ge=0, le=100, description="temperature, °C")
    flow_m3_h: float | None = Field(default=None, gt=0, le=1e6, description="flow, m³/h")

    _is_date = field_validator("permit_date", "permit_until")(_is_date)


BusConfig = Annotated[ModbusTcpConfig | ModbusRtuConfig | MqttConfig | OneWireConfig | IioConfig | PulseConfig | HostConfig, Field(discriminator="kind")]
SinkConfig = Annotated[HubConfig | Influx1Config | Influx2Config, Field(discriminator="kind")]


class RecordsConfig(_Table):
    """What records of lots must have before work on a lot begins, and before one leaves."""

    start_requires: tuple[Literal["certificate", "slip", "temperature", "photo"], ...] = Field(
        default=("certificate",), description="besides what its packs require, of the intake, before a lot goes to a zone of stage washing or others are made from it; a reason excuses, on record"
    )
    dispatch_requires: tuple[Literal["certificate", "slip", "temperature", "photo"], ...] = Field(
        default=("certificate", "slip"), description="besides what its packs require: the lot's certificate, and slip, temperature, photo of the dispatch; nothing excuses"
    )
    warn_days: int = Field(default=30, ge=0, le=3_650, description="lots and documents that expire within so many days are shown")


class PhaseItemConfig(_Table):
    """Something that must be in order in a phase of the working day. None at all: an example of 7, 3 and 4 items."""

    phase: Literal["pre-start", "production", "closing"] = Field(description="the phase in which it is asked for")
    name_zh: str = Field(default="", max_length=128, description="what people read, in Chinese")
    name_en: str = Field(default="", max_length=128, description="what people read, in English")
    rules: tuple[Identifier, ...] = Field(default=(), max_length=16, description="the rules that say whether it is in order; with neither rules nor records a person signs it")
    records: tuple[Literal["intakes", "lots", "unexpired"], ...] = Field(
        default=(), description="what the records of lots say of it: today's intakes have, or all lots that are here have, what starting requires; nothing that has a date is behind it"
    )


class MarkTypeConfig(_Table):
    """How long marks of one type may last at this site: less than the type's own bounds (docs/reference/marks-and-phases.md), never more."""

    longest_s: float | None = Field(default=None, gt=0, description="of one mark, those less than 30 minutes before it included")
    weekly_s: float | None = Field(default=None, gt=0, description="of a week together, at one point")


def _is_time(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError(f'"{text}" is no time of day; write it as "07:30"')
    return text


#: Of the site, to the minute.
TimeOfDay = Annotated[str, AfterValidator(_is_time)]
MarkTypeName = Literal["calibration", "probe-swap", "defrost", "cleaning", "power-test", "sensor-fault", "door-loading"]
PhaseName = Literal["pre-start", "production", "closing", "closed"]


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)


class WorkdayConfig(_Table):
    """Phases that begin by themselves: at times of the day, or with a contact that says whether the line runs. Empty: a person begins each."""

    begin: dict[PhaseName, TimeOfDay] = Field(
        default_factory=dict, description="by phase: the site's time of day at which it begins, such as \"07:30\"; one that is earlier than the first begins behind midnight"
    )
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(default=(), description="days on which that working day begins; none: every day")
    contact: Annotated[str, Field(pattern=r"^([a-z0-9-]{1,32})?$")] = Field(default="", description="the point whose value says whether the line runs: 生产中 begins with it, 收尾 when it stands")
    running: float = Field(default=1.0, description="the value of that point while the line runs; any other: it stands")
    running_for_s: float = Field(default=60.0, ge=0, le=86_400, description="how long it must run before 生产中 begins")
    standing_for_s: float = Field(default=1_800.0, ge=0, le=86_400, description="how long it must stand before 收尾 begins: longer than any pause")

    @model_validator(mode="after")
    def _in_order(self) -> WorkdayConfig:
        times = [self.begin[phase] for phase in ("pre-start", "production", "closing", "closed") if phase in self.begin]
        since_first = [(_minutes(time) - _minutes(times[0])) % 1440 for time in times]
        if since_first != sorted(set(since_first)):
            raise ValueError("the phases do not begin one after the other within a day; give each its own time, in their order")
        return self


class GatewayConfig(_Table):
    """The whole configuration, merged from all files."""

    site: SiteConfig
    clock: ClockConfig = ClockConfig()
    journal: JournalConfig = JournalConfig()
    signer: SignerConfig = SignerConfig()
    page: PageConfig = PageConfig()
    zones: dict[Identifier, ZoneConfig] = Field(default_factory=dict)
    buses: dict[Identifier, BusConfig] = Field(default_factory=dict)
    devices: dict[Identifier, DeviceConfig] = Field(default_factory=dict)
    points: dict[Identifier, PointConfig] = Field(default_factory=dict)
    derived: dict[Identifier, DerivedConfig] = Field(default_factory=dict)
    rules: RulesConfig = RulesConfig()
    outlets: dict[Identifier, OutletConfig] = Field(default_factory=dict)
    sinks: dict[Identifier, SinkConfig] = Field(default_factory=dict)
    records: RecordsConfig = RecordsConfig()
    phases: dict[Identifier, PhaseItemConfig] = Field(default_factory=dict)
    workday: WorkdayConfig = WorkdayConfig()
    marks: dict[MarkTypeName, MarkTypeConfig] = Field(default_factory=dict)

    @field_validator("marks")
    @classmethod
    def _no_longer(cls, marks: dict[str, MarkTypeConfig]) -> dict[str, MarkTypeConfig]:
        for name, own in marks.items():
            for key, most_us in (("longest_s", TYPES[name].longest_us), ("weekly_s", TYPES[name].weekly_us)):
                if (given := getattr(own, key)) is not None and given * 1e6 > most_us:
                    raise ValueError(f"marks of type {name} have {key} {most_us / 1e6:g} at most, not {given:g}; a site bounds them, and does not let them last longer")
        return marks
