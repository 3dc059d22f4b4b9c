"""What stands at the demonstration's site: zones, buses, devices, points, names; data only, nothing is computed here.

Both the plant (what to simulate) and the gateway's configuration (what to read) are made from this table. The plant takes
nothing else from it than which device carries which points: how a value becomes registers is written in ``registers``.
"""

from __future__ import annotations

from dataclasses import dataclass

SITE_ID = "demo-offal"
SITE_EN, SITE_ZH = "Turpan demo", "吐鲁番演示"
#: Topics of the two publishers.
ZIGBEE_TOPIC = "zigbee2mqtt/chill1-entry"
TASMOTA_TOPIC = "tele/offal-cores/SENSOR"


@dataclass(frozen=True, slots=True)
class Zone:
    """A place. ``stage`` and ``kind`` decide which rules watch its points."""

    id: str
    stage: str
    kind: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Point:
    """A measured quantity: its device's channel, its zone, names, and the probe's Id where one message carries several."""

    id: str
    channel: str
    zone: str
    en: str
    zh: str
    select: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """What answers on a bus: ``unit`` for Modbus, ``topic`` for messages."""

    id: str
    bus: str
    profile: str
    points: tuple[Point, ...]
    unit: int = 0
    topic: str = ""


ZONES = (
    Zone("cold1", "storage", "frozen-store", "Cold store 1", "冷库1"),
    Zone("cold2", "storage", "frozen-store", "Cold store 2", "冷库2"),
    Zone("chill1", "storage", "chilled-store", "Chilled store", "冷藏库"),
    Zone("precool", "storage", "chilled-store", "Pre-cooling room", "预冷间"),
    Zone("cores", "storage", "pre-cooling", "Offal cores", "副产品中心温度"),
    Zone("cutting", "dispatch", "cutting-room", "Cutting room", "分割间"),
    Zone("hall", "washing", "cleaning-line", "Cleaning hall", "清洗间"),
    Zone("outlet1", "wastewater", "outlet", "Main outlet", "总排口"),
)


def _climate(room: str, en: str, zh: str) -> tuple[Point, ...]:
    return (
        Point(f"{room}-air", "temperature", room, f"{en} air", f"{zh} 空气温度"),
        Point(f"{room}-rh", "humidity", room, f"{en} humidity", f"{zh} 湿度"),
    )


DEVICES = (
    Device("cold1-th", "plc", "generic/xy-md02", _climate("cold1", "Cold store 1", "冷库1"), unit=1),
    Device("cold2-th", "plc", "generic/xy-md02", _climate("cold2", "Cold store 2", "冷库2"), unit=2),
    Device(
        "doors",
        "plc",
        "wellpro/wp8028adam",
        (
            Point("cold1-door", "input-1", "cold1", "Cold store 1 door", "冷库1 库门"),
            Point("cold2-door", "input-2", "cold2", "Cold store 2 door", "冷库2 库门"),
            Point("chill1-door", "input-3", "chill1", "Chilled store door", "冷藏库 库门"),
        ),
        unit=3,
    ),
    Device(
        "hall-cl",
        "plc",
        "zw/rcl101",
        (Point("hall-chlorine", "free-chlorine", "hall", "Washing water free chlorine", "清洗水余氯"),),
        unit=4,
    ),
    Device(
        "outlet-ph",
        "plc",
        "yosemitech/y532",
        (
            Point("outlet1-ph", "ph", "outlet1", "Outlet pH", "总排口 pH"),
            Point("outlet1-temp", "temperature", "outlet1", "Outlet water", "总排口 水温"),
        ),
        unit=5,
    ),
    Device(
        "outlet-flow",
        "plc",
        "tuf/2000m",
        (
            Point("outlet1-flow", "flow", "outlet1", "Outlet flow", "总排口 流量"),
            Point("outlet1-total", "total", "outlet1", "Outlet total", "总排口 累计流量"),
        ),
        unit=6,
    ),
    Device("chill1-th", "stores", "generic/xy-md02", _climate("chill1", "Chilled store", "冷藏库"), unit=1),
    Device(
        "hall-ph",
        "stores",
        "yosemitech/y532",
        (
            Point("hall-ph", "ph", "hall", "Washing water pH", "清洗水 pH"),
            Point("hall-water-temp", "temperature", "hall", "Washing water", "清洗水 水温"),
        ),
        unit=2,
    ),
    Device("cutting-th", "line1", "generic/xy-md02", _climate("cutting", "Cutting room", "分割间"), unit=1),
    Device("precool-th", "line1", "generic/xy-md02", _climate("precool", "Pre-cooling room", "预冷间"), unit=2),
    Device(
        "chill1-entry",
        "broker",
        "zigbee2mqtt/wsdcgq11lm",
        (
            Point("chill1-entry-air", "temperature", "chill1", "Chilled store, at the door", "冷藏库 门口温度"),
            Point("chill1-entry-rh", "humidity", "chill1", "Chilled store, humidity at the door", "冷藏库 门口湿度"),
        ),
        topic=ZIGBEE_TOPIC,
    ),
    Device(
        "offal-cores",
        "broker",
        "tasmota/ds18b20",
        (
            Point("offal-core1", "temperature", "cores", "Offal core 1", "副产品中心 1", "0000059352D4"),
            Point("offal-core2", "temperature", "cores", "Offal core 2", "副产品中心 2", "00000566CC39"),
            Point("offal-core3", "temperature", "cores", "Offal core 3", "副产品中心 3", "000005937C90"),
        ),
        topic=TASMOTA_TOPIC,
    ),
)
#: Modbus TCP servers by bus; ``line1`` is the serial line, ``broker`` the MQTT broker.
TCP_BUSES = ("plc", "stores")
SERIAL_BUS = "line1"
BROKER_BUS = "broker"
