"""A line named on the command line instead of in a configuration: ``/dev/ttyUSB0``, ``9600-8N1``, ``host:port``; opens nothing."""

from __future__ import annotations

import re
from typing import Any

import click

from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig

_LINE = re.compile(r"^(\d{3,7})-?8([NEO])([12])$", re.IGNORECASE)
_HOST = re.compile(r"^(\[[0-9A-Fa-f:]+\]|[^\s:/]+)(?::(\d{1,5}))?$")


class LineType(click.ParamType[Any]):
    """``9600-8N1``: baud, 8 bits, parity, stop bits."""

    name = "9600-8N1"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str, int]:
        """The three, or a usage error."""
        if isinstance(value, tuple):
            return value
        found = _LINE.match(str(value).strip())
        if found is None or not 300 <= int(found[1]) <= 4_000_000:
            self.fail(f"{value!r} is no line; write baud, bits, parity and stop bits, such as 9600-8N1", param, ctx)
        return int(found[1]), found[2].upper(), int(found[3])


class HostType(click.ParamType[Any]):
    """``192.168.1.50`` or ``192.168.1.50:1502``."""

    name = "HOST[:PORT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Host and port (502 where none is said), or a usage error."""
        if isinstance(value, tuple):
            return value
        found = _HOST.match(str(value).strip())
        if found is None or not 1 <= int(found[2] or 502) <= 65535:
            self.fail(f"{value!r} is no address; write host or host:port, such as 192.168.1.50:502", param, ctx)
        return found[1].strip("[]"), int(found[2] or 502)


def serial_bus(port: str, line: tuple[int, str, int], timeout_s: float = 0.5) -> ModbusRtuConfig:
    """A bus of a bare serial port."""
    baud, parity, stopbits = line
    fields = {"kind": "rtu", "port": port, "baud": baud, "parity": parity, "stopbits": stopbits, "timeout_s": timeout_s}
    return ModbusRtuConfig.model_validate(fields)


def tcp_bus(host: str, port: int) -> ModbusTcpConfig:
    """A bus of a bare endpoint."""
    return ModbusTcpConfig.model_validate({"kind": "tcp", "host": host, "port": port})


def is_port(word: str | None) -> bool:
    """Whether a word names a serial device, not a point."""
    return bool(word) and "/" in str(word)
