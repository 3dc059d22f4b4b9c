"""Modbus buses as the configuration has them: a TCP endpoint or a serial line; knows no registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edge_gateway.clock import Clock
from edge_gateway.profiles.spec import DeviceSpec

if TYPE_CHECKING:
    from edge_gateway.sources.modbus_source import ModbusSource
    from edge_gateway.sources.modbus_time import LineTime


class _Bus(BaseModel):
    """``backoff_first_s`` … ``backoff_most_s``: how long a silent unit, or a line that is gone, is rested."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backoff_first_s: float = Field(default=1.0, gt=0, le=3600)
    backoff_most_s: float = Field(default=60.0, gt=0, le=3600)


class ModbusTcpConfig(_Bus):
    """A Modbus TCP device or gateway. Times are real seconds."""

    kind: Literal["tcp"]
    host: str = Field(min_length=1, max_length=255)
    port: int = Field(default=502, ge=1, le=65535)
    timeout_s: float = Field(default=1.0, ge=0.01, le=60, description="how long to wait for an answer")
    connect_timeout_s: float = Field(default=3.0, ge=0.01, le=60)

    def build(self, bus_id: str, devices: Sequence[DeviceSpec], clock: Clock) -> ModbusSource:
        """The source of this bus. Raises ConfigError for points that the profiles do not have."""
        from edge_gateway.links.modbus import TcpSettings, open_line
        from edge_gateway.sources.modbus_source import ModbusSource

        settings = TcpSettings(
            host=self.host, port=self.port, timeout_s=self.timeout_s, connect_timeout_s=self.connect_timeout_s
        )
        backoff_s = (self.backoff_first_s, self.backoff_most_s)
        line = open_line(settings)
        return ModbusSource(bus_id, line, devices, clock, backoff_s=backoff_s, kind="tcp", time=self.time())

    def time(self) -> LineTime:
        """The line's pace, for ``check`` and ``status``."""
        from edge_gateway.sources.modbus_time import LineTime

        return LineTime(timeout_s=self.timeout_s)


class ModbusRtuConfig(_Bus):
    """A serial line. Times are real seconds; ``quiet_s`` is the silence kept after a time-out or a broken frame."""

    kind: Literal["rtu"]
    port: str = Field(min_length=1, max_length=255, description="a stable name such as /dev/edge-gateway-bus0")
    baud: int = Field(default=9600, ge=300, le=4_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    timeout_s: float = Field(default=0.5, ge=0.01, le=60, description="how long to wait for an answer")
    quiet_s: float = Field(default=0.5, ge=0.005, le=60)

    @field_validator("stopbits", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, bool):  # which equals 1
            raise ValueError("must be one of 1, 2, not true or false; write one of these")
        return value

    def build(self, bus_id: str, devices: Sequence[DeviceSpec], clock: Clock) -> ModbusSource:
        """The source of this bus. Raises ConfigError for points that the profiles do not have."""
        from edge_gateway.links.modbus import RtuSettings, open_line
        from edge_gateway.sources.modbus_source import ModbusSource

        settings = RtuSettings(
            port=self.port,
            baud=self.baud,
            parity=self.parity,
            stopbits=self.stopbits,
            timeout_s=self.timeout_s,
            quiet_s=self.quiet_s,
        )
        backoff_s = (self.backoff_first_s, self.backoff_most_s)
        line = open_line(settings)
        return ModbusSource(bus_id, line, devices, clock, backoff_s=backoff_s, kind="rtu", time=self.time())

    def time(self) -> LineTime:
        """The line's pace, for ``check`` and ``status``."""
        from edge_gateway.sources.modbus_time import LineTime

        return LineTime.serial(
            baud=self.baud,
            parity=self.parity,
            stopbits=self.stopbits,
            timeout_s=self.timeout_s,
            quiet_s=self.quiet_s,
        )
