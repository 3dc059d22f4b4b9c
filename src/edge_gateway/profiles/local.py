"""Profiles of what this machine measures itself (kernel files, inputs); made here, not read from drivers/: knows no path, reads nothing.

A Modbus transmitter's registers are a maker's choice and need a file. What a DS18B20 tells the kernel, what a 4-20 mA loop
means or how much of the disk is free does not differ by maker: the bus' kind says it (docs/decisions/0008-local-sources.md).
"""

from __future__ import annotations

from edge_gateway.profiles.model import TOTAL_QUANTITIES, Channel, Citation, Profile

#: Measuring range of the DS18B20 family: data sheet 19-7487 Rev 6, Maxim Integrated.
DS18B20_LOW_CEL, DS18B20_HIGH_CEL = -55.0, 125.0


class LocalProfile(Profile):
    """A kind of source of this machine: its channels, and where its facts come from."""


def _profile(id_: str, model: str, names: tuple[str, str], cite: str, channels: dict[str, Channel]) -> LocalProfile:
    return LocalProfile(
        id=id_,
        vendor="Linux",
        model=model,
        name_zh=names[0],
        name_en=names[1],
        verified="primary",
        sources=(Citation(cite=cite, verified="primary"),),
        channels=channels,
    )


def pulse_meter(unit: str) -> LocalProfile:
    """A meter that gives a pulse for each so much. Channels ``total`` (in ``unit``) and ``pulses``."""
    total = Channel(quantity=TOTAL_QUANTITIES[unit], unit=unit, decimals=3, range_low=0.0, name_zh="累计值", name_en="Total")
    pulses = Channel(quantity="count", unit="1", decimals=0, name_zh="脉冲数", name_en="Pulses")
    cite = "Linux include/uapi/linux/gpio.h (line events, v2); Documentation/ABI/testing/sysfs-bus-counter"
    names = ("脉冲计量表", "Pulse meter")
    return _profile("linux/pulse-meter", "gpio, counter", names, cite, {"total": total, "pulses": pulses})


def current_loop(quantity: str, unit: str) -> LocalProfile:
    """A 4-20 mA loop. Channels ``value`` (in ``unit``) and ``current`` (mA)."""
    value = Channel(quantity=quantity, unit=unit, decimals=2, name_zh="测量值", name_en="Value")
    current = Channel(quantity="current", unit="mA", decimals=2, name_zh="回路电流", name_en="Loop current")
    cite = "Linux Documentation/ABI/testing/sysfs-bus-iio; NAMUR NE 43"
    names = ("4–20 mA 变送器", "4-20 mA transmitter")
    return _profile("linux/current-loop", "iio", names, cite, {"value": value, "current": current})


def host() -> LocalProfile:
    """The machine that the gateway runs on: see docs/reference/local-sources.md."""
    channels = {
        "clock-synchronised": Channel(
            quantity="state", unit="1", decimals=0, name_zh="时钟已同步", name_en="Clock synchronised"
        ),
        "clock-error": Channel(quantity="duration", unit="s", decimals=3, name_zh="时钟最大误差", name_en="Clock error, at most"),
        "disk-free": Channel(quantity="share", unit="%", name_zh="磁盘剩余", name_en="Disk free"),
        "memory-free": Channel(quantity="share", unit="%", name_zh="内存剩余", name_en="Memory free"),
        "cpu-temperature": Channel(
            quantity="equipment-temperature", unit="Cel", name_zh="处理器温度", name_en="Processor temperature"
        ),
        "under-voltage": Channel(quantity="state", unit="1", decimals=0, name_zh="供电欠压", name_en="Supply under-voltage"),
        "uptime": Channel(quantity="duration", unit="s", decimals=0, name_zh="运行时间", name_en="Uptime"),
    }
    cite = "Linux: adjtimex(2), statvfs(3), Documentation/filesystems/proc.rst, thermal/sysfs-api.rst, drivers/hwmon/raspberrypi-hwmon.c"
    return _profile("linux/host", "host", ("网关主机", "The gateway itself"), cite, channels)


def contact() -> LocalProfile:
    """A contact on an input of the board. Channel ``contact``."""
    channel = Channel(quantity="contact", unit="1", decimals=0, name_zh="触点", name_en="Contact")
    cite = "Linux include/uapi/linux/gpio.h (line values, v2)"
    return _profile("linux/contact", "gpio", ("开关触点", "Contact"), cite, {"contact": channel})


def ds18b20() -> LocalProfile:
    """One temperature. Channel ``temperature`` (°C)."""
    channel = Channel(
        quantity="temperature",
        unit="Cel",
        decimals=1,
        range_low=DS18B20_LOW_CEL,
        range_high=DS18B20_HIGH_CEL,
        name_zh="温度",
        name_en="Temperature",
    )
    cite = "Linux Documentation/w1/slaves/w1_therm.rst; DS18B20 data sheet 19-7487 Rev 6"
    names = ("1-Wire 温度探头", "1-Wire temperature probe")
    return _profile("linux/ds18b20", "w1_therm", names, cite, {"temperature": channel})
