"""Units of measure as UCUM codes with what people read, and the quantities that have them; converts nothing.

Codes are case-sensitive UCUM (https://ucum.org); square brackets mark units outside the metric system, as UCUM
does. ``[NTU]`` is the house's code for nephelometric turbidity units, which UCUM lacks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """A UCUM ``code``, the ``symbol`` that pages show, and names."""

    code: str
    symbol: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is measured: identifier (rules select by it), the units it may have (the first is usual), names."""

    id: str
    units: tuple[str, ...]
    name_zh: str
    name_en: str


UNITS: dict[str, Unit] = {
    unit.code: unit
    for unit in (
        Unit("1", "", "无量纲", "no unit"),
        Unit("%", "%", "百分比", "percent"),
        Unit("Cel", "°C", "摄氏度", "degree Celsius"),
        Unit("K", "K", "开尔文", "kelvin"),
        Unit("[pH]", "pH", "pH", "pH"),
        Unit("[NTU]", "NTU", "浊度单位", "nephelometric turbidity unit"),
        Unit("mg/L", "mg/L", "毫克每升", "milligram per litre"),
        Unit("ug/L", "µg/L", "微克每升", "microgram per litre"),
        Unit("g/L", "g/L", "克每升", "gram per litre"),
        Unit("[ppm]", "ppm", "百万分率", "parts per million"),
        Unit("uS/cm", "µS/cm", "微西门子每厘米", "microsiemens per centimetre"),
        Unit("mS/cm", "mS/cm", "毫西门子每厘米", "millisiemens per centimetre"),
        Unit("m3/h", "m³/h", "立方米每小时", "cubic metre per hour"),
        Unit("m3/s", "m³/s", "立方米每秒", "cubic metre per second"),
        Unit("L/min", "L/min", "升每分钟", "litre per minute"),
        Unit("L/s", "L/s", "升每秒", "litre per second"),
        Unit("m3", "m³", "立方米", "cubic metre"),
        Unit("L", "L", "升", "litre"),
        Unit("m/s", "m/s", "米每秒", "metre per second"),
        Unit("m", "m", "米", "metre"),
        Unit("cm", "cm", "厘米", "centimetre"),
        Unit("mm", "mm", "毫米", "millimetre"),
        Unit("Pa", "Pa", "帕", "pascal"),
        Unit("hPa", "hPa", "百帕", "hectopascal"),
        Unit("kPa", "kPa", "千帕", "kilopascal"),
        Unit("MPa", "MPa", "兆帕", "megapascal"),
        Unit("bar", "bar", "巴", "bar"),
        Unit("V", "V", "伏", "volt"),
        Unit("mV", "mV", "毫伏", "millivolt"),
        Unit("A", "A", "安", "ampere"),
        Unit("mA", "mA", "毫安", "milliampere"),
        Unit("W", "W", "瓦", "watt"),
        Unit("kW", "kW", "千瓦", "kilowatt"),
        Unit("W.h", "Wh", "瓦时", "watt hour"),
        Unit("kW.h", "kWh", "千瓦时", "kilowatt hour"),
        Unit("Hz", "Hz", "赫兹", "hertz"),
        Unit("s", "s", "秒", "second"),
        Unit("min", "min", "分钟", "minute"),
        Unit("h", "h", "小时", "hour"),
        Unit("d", "d", "天", "day"),
        Unit("K.min", "K·min", "开尔文分钟", "kelvin minute"),
        Unit("dB[mW]", "dBm", "分贝毫瓦", "decibel milliwatt"),
    )
}

QUANTITIES: dict[str, Quantity] = {
    quantity.id: quantity
    for quantity in (
        Quantity("temperature", ("Cel",), "温度", "temperature"),
        Quantity("equipment-temperature", ("Cel",), "设备温度", "equipment temperature"),
        Quantity("temperature-setpoint", ("Cel",), "设定温度", "temperature setpoint"),
        Quantity("humidity", ("%",), "相对湿度", "relative humidity"),
        Quantity("ph", ("[pH]",), "pH", "pH"),
        Quantity("orp", ("mV",), "氧化还原电位", "redox potential"),
        Quantity("turbidity", ("[NTU]",), "浊度", "turbidity"),
        Quantity("free-chlorine", ("mg/L",), "游离余氯", "free chlorine"),
        Quantity("total-chlorine", ("mg/L",), "总余氯", "total chlorine"),
        Quantity("cod", ("mg/L",), "化学需氧量", "chemical oxygen demand"),
        Quantity("ammonia", ("mg/L",), "氨氮", "ammonia nitrogen"),
        Quantity("ammonium", ("mg/L",), "铵离子", "ammonium"),
        Quantity("total-phosphorus", ("mg/L",), "总磷", "total phosphorus"),
        Quantity("total-nitrogen", ("mg/L",), "总氮", "total nitrogen"),
        Quantity("suspended-solids", ("mg/L",), "悬浮物", "suspended solids"),
        Quantity("dissolved-oxygen", ("mg/L",), "溶解氧", "dissolved oxygen"),
        Quantity("dissolved-solids", ("mg/L",), "溶解性总固体", "total dissolved solids"),
        Quantity("salinity", ("mg/L",), "盐度", "salinity"),
        Quantity("conductivity", ("uS/cm", "mS/cm"), "电导率", "conductivity"),
        Quantity("flow", ("m3/h", "m3/s", "L/min", "L/s"), "流量", "flow"),
        Quantity("volume", ("m3", "L"), "累计流量", "volume"),
        Quantity("velocity", ("m/s",), "流速", "velocity"),
        Quantity("sound-velocity", ("m/s",), "声速", "speed of sound"),
        Quantity("level", ("m", "cm", "mm"), "液位", "level"),
        Quantity("pressure", ("kPa", "Pa", "hPa", "MPa", "bar"), "压力", "pressure"),
        Quantity("contact", ("1",), "触点", "contact"),
        Quantity("door", ("1",), "库门", "door"),  # 1: open
        Quantity("defrost", ("1",), "除霜", "defrost"),  # 1: under way
        Quantity("mains", ("1",), "市电", "mains power"),  # 1: it is there
        Quantity("state", ("1",), "状态", "state"),
        Quantity("count", ("1",), "计数", "count"),
        Quantity("signal", ("%", "1", "dB[mW]"), "信号强度", "signal strength"),
        Quantity("battery", ("%",), "电池电量", "battery level"),
        Quantity("voltage", ("V", "mV"), "电压", "voltage"),
        Quantity("current", ("A", "mA"), "电流", "current"),
        Quantity("power", ("W", "kW"), "功率", "power"),
        Quantity("power-factor", ("1",), "功率因数", "power factor"),
        Quantity("energy", ("kW.h", "W.h"), "电能", "energy"),
        Quantity("frequency", ("Hz",), "频率", "frequency"),
        Quantity(
            "difference",
            ("K", "%", "1", "m3/h", "m3/s", "L/min", "L/s", "m3", "L", "kPa", "Pa", "hPa", "MPa", "bar", "m", "cm", "mm",
             "mg/L", "[pH]", "[NTU]", "uS/cm", "mS/cm", "kW.h", "W.h", "kW", "W", "V", "mV", "A", "mA", "mV", "s", "min", "h", "d",
             "Hz", "m/s", "dB[mW]", "ug/L", "g/L", "[ppm]"),
            "差值", "difference",
        ),
        Quantity("share", ("%",), "占比", "share"),
        Quantity("degree-minutes", ("K.min",), "超温累积", "degree minutes"),
        Quantity("duration", ("s", "min", "h", "d"), "时长", "duration"),
    )
}


def symbol(code: str) -> str:
    """What pages show for a UCUM code; an unknown code stands for itself."""
    unit = UNITS.get(code)
    return code if unit is None else unit.symbol


#: A code that people know by another sign, where it stands as a unit: alone, or before "/s" and "·min".
_CODES = re.compile(
    r"(?<![^\s(,])(" + "|".join(re.escape(code) for code, unit in UNITS.items() if unit.symbol not in (code, "")) + r")(?![^\s/·,;)])"
)
#: A limit with a unit of its own: "≤ -18 Cel", "≥ 0.05, ≤ 2 mg/L"; none of a length of time, a share or a course.
_ONE_UNIT = re.compile(r"[≤≥] \S+(?:, [≤≥] \S+)? (\S+)")


def readable(text: str) -> str:
    """A limit's text with the signs that people read for its UCUM codes: ``≤ -18 °C``."""
    return _CODES.sub(lambda code: symbol(code[1]), text)


def unit_of(limit: str) -> str:
    """The sign of the one unit that a limit's text is in; "" where its figures are several things."""
    one = _ONE_UNIT.fullmatch(limit)
    return "" if one is None else readable(one[1])


def show(value: float, decimals: int, code: str) -> str:
    """A value with its unit for people: ``-17.8 °C``. The sign is a hyphen-minus, as everywhere in machine text."""
    number = f"{value:.{decimals}f}"
    mark = symbol(code)
    return f"{number} {mark}" if mark else number
