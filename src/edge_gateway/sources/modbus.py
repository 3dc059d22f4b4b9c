"""Modbus buses as the configuration has them: a TCP or TLS endpoint, or a serial line; knows no registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge_gateway.clock import Clock
from edge_gateway.profiles.spec import DeviceSpec

if TYPE_CHECKING:
    from edge_gateway.links.modbus import Line, RtuSettings, TcpSettings, TlsFiles
    from edge_gateway.sources.modbus_source import ModbusSource
    from edge_gateway.sources.modbus_time import LineTime


class _Bus(BaseModel):
    """``backoff_first_s`` … ``backoff_most_s``: how long a silent unit, or a line that is gone, is rested. Times are real seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quiet_s: float = Field(
        default=0.5, ge=0.005, le=60, description="silence after a time-out on a line whose frames bear no number"
    )
    late_max_s: float = Field(
        default=5.0,
        ge=0.01,
        le=600,
        description="until then after a time-out nothing of the same length is asked of that unit: its answer may still come",
    )
    spacing_s: float = Field(default=0.0, ge=0, le=10, description="from an answer to the next request at least")
    connect_delay_s: float = Field(default=0.0, ge=0, le=60, description="from opening to the first request")
    backoff_first_s: float = Field(default=1.0, gt=0, le=3600)
    backoff_most_s: float = Field(default=60.0, gt=0, le=3600)

    @property
    def numbered(self) -> bool:
        """Whether answers bear their questions' numbers, so that a late one cannot be taken for the next."""
        return False

    def _source(
        self, bus_id: str, line: Line, devices: Sequence[DeviceSpec], clock: Clock, *, kind: str, time: LineTime
    ) -> ModbusSource:
        from edge_gateway.sources.modbus_source import ModbusSource

        backoff_s = (self.backoff_first_s, self.backoff_most_s)
        return ModbusSource(bus_id, line, devices, clock, backoff_s=backoff_s, kind=kind, time=time)


class ModbusTcpConfig(_Bus):
    """A Modbus TCP device or gateway, or (``framing`` ``rtu``, ``ascii``) a serial device server that passes frames on.

    ``ca_file`` turns TLS on; ``cert_file`` and ``key_file`` are our own certificate. ``quiet_s`` and ``late_max_s`` are
    for ``framing`` other than ``mbap``.
    """

    kind: Literal["tcp"]
    host: str = Field(min_length=1, max_length=255)
    port: int = Field(default=502, ge=1, le=65535, description="with TLS usually 802")
    framing: Literal["mbap", "rtu", "ascii"] = Field(default="mbap", description="mbap is Modbus TCP")
    timeout_s: float = Field(default=1.0, ge=0.01, le=60, description="how long to wait for an answer")
    connect_timeout_s: float = Field(default=3.0, ge=0.01, le=60)
    reopen_wait_s: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="from a connection's end to the next: for devices that have one socket only",
    )
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = Field(default="", max_length=255, description="the name in the certificate, if it is not host")

    @model_validator(mode="after")
    def _tls_whole(self) -> ModbusTcpConfig:
        if (self.cert_file or self.server_name) and not self.ca_file:
            raise ValueError("a client certificate (cert_file) needs TLS: set ca_file too")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs cert_file")
        return self

    @property
    def numbered(self) -> bool:
        """See ``_Bus.numbered``."""
        return self.framing == "mbap"

    def tls(self) -> TlsFiles | None:
        """The files of TLS, tried once. Raises ConfigError when they cannot be used."""
        from edge_gateway.links.modbus import TlsFiles

        if not self.ca_file:
            return None
        files = TlsFiles(
            ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file, server_name=self.server_name
        )
        files.context()
        return files

    def build(self, bus_id: str, devices: Sequence[DeviceSpec], clock: Clock) -> ModbusSource:
        """The source of this bus. Raises ConfigError for points that the profiles do not have, and for unusable TLS files."""
        from edge_gateway.links.modbus import open_line

        return self._source(bus_id, open_line(self.settings()), devices, clock, kind="tcp", time=self.time())

    def settings(self) -> TcpSettings:
        """The endpoint as lines know it. Raises ConfigError for unusable TLS files."""
        from edge_gateway.links.modbus import TcpSettings

        return TcpSettings(
            host=self.host,
            port=self.port,
            timeout_s=self.timeout_s,
            connect_timeout_s=self.connect_timeout_s,
            framing=self.framing,
            spacing_s=self.spacing_s,
            connect_delay_s=self.connect_delay_s,
            reopen_wait_s=self.reopen_wait_s,
            quiet_s=self.quiet_s,
            late_max_s=self.late_max_s,
            tls=self.tls(),
        )

    def time(self) -> LineTime:
        """The line's pace, for ``check`` and ``status``."""
        from edge_gateway.sources.modbus_time import LineTime

        quiet_s = 0.0 if self.numbered else self.quiet_s
        return LineTime(silence_s=self.spacing_s, timeout_s=self.timeout_s, quiet_s=quiet_s)


class ModbusRtuConfig(_Bus):
    """A serial line, with binary frames (``rtu``) or in hexadecimal digits (``ascii``)."""

    kind: Literal["rtu", "ascii"]
    port: str = Field(min_length=1, max_length=255, description="a stable name such as /dev/edge-gateway-bus0")
    baud: int = Field(default=9600, ge=300, le=4_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[7, 8] = Field(default=8, description="7 only where ascii is spoken so")
    timeout_s: float = Field(default=0.5, ge=0.01, le=60, description="how long to wait for an answer")

    @field_validator("stopbits", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, bool):  # which equals 1
            raise ValueError("must be one of 1, 2, not true or false; write one of these")
        return value

    @model_validator(mode="after")
    def _eight_bits(self) -> ModbusRtuConfig:
        if self.kind == "rtu" and self.bytesize != 8:
            raise ValueError("rtu frames are binary: bytesize must be 8")
        return self

    def build(self, bus_id: str, devices: Sequence[DeviceSpec], clock: Clock) -> ModbusSource:
        """The source of this bus. Raises ConfigError for points that the profiles do not have."""
        from edge_gateway.links.modbus import open_line

        return self._source(bus_id, open_line(self.settings()), devices, clock, kind=self.kind, time=self.time())

    def settings(self) -> RtuSettings:
        """The serial line as lines know it."""
        from edge_gateway.links.modbus import RtuSettings

        return RtuSettings(
            port=self.port,
            baud=self.baud,
            parity=self.parity,
            stopbits=self.stopbits,
            bytesize=self.bytesize,
            framing=self.kind,
            timeout_s=self.timeout_s,
            quiet_s=self.quiet_s,
            late_max_s=self.late_max_s,
            spacing_s=self.spacing_s,
            connect_delay_s=self.connect_delay_s,
        )

    def time(self) -> LineTime:
        """The line's pace, for ``check`` and ``status``."""
        from edge_gateway.sources.modbus_time import LineTime

        its = LineTime.serial(
            baud=self.baud,
            parity=self.parity,
            stopbits=self.stopbits,
            timeout_s=self.timeout_s,
            quiet_s=self.quiet_s,
        )
        if self.kind == "ascii":  # two digits a byte
            its = replace(its, character_s=2 * its.character_s)
        return replace(its, silence_s=max(its.silence_s, self.spacing_s))
